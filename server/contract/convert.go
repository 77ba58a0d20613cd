package contract

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"

	"github.com/zioflow/gateway/broker/relay"
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/broker/zio"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// reserved are the keys of a BOT's label that are fields of their own.
var reserved = []string{"flow", "direction", "credit", "cid"}

// BotLabel merges a BOT's fields over its label. A direction that neither names
// is what the RPC implies.
func BotLabel(bot *gatewayv1.Bot, implied zio.Direction) ([]byte, error) {
	edits := []zio.Member{{Key: "flow", Value: []byte(`"BOT"`)}}
	direction, err := directionFrom(bot, implied)
	if err != nil {
		return nil, err
	}
	if direction != zio.NoDirection {
		edits = append(edits, zio.Member{Key: "direction", Value: zio.Quote(direction.String())})
	}
	switch {
	case bot.GetCredit() < 0:
		return nil, BadField("credit", "is %d, want 0 or more", bot.GetCredit())
	case bot.GetCredit() > 0:
		edits = append(edits, zio.Member{Key: "credit", Value: strconv.AppendInt(nil, bot.GetCredit(), 10)})
	}
	if bot.GetCid() != 0 {
		edits = append(edits, zio.Member{Key: "cid", Value: strconv.AppendUint(nil, bot.GetCid(), 10)})
	}
	attributes := bot.GetAttributes().GetFields()
	for _, key := range slices.Sorted(maps.Keys(attributes)) {
		if slices.Contains(reserved, key) {
			return nil, BadField("attributes", "%s is a field of its own", key)
		}
		text, err := json.Marshal(attributes[key].AsInterface())
		if err != nil {
			return nil, BadField("attributes", "%s: %v", key, err)
		}
		edits = append(edits, zio.Member{Key: key, Value: text})
	}
	label, err := zio.Edit([]byte(bot.GetLabel()), edits...)
	if err != nil {
		return nil, BadField("label", "%v", err)
	}
	return label, nil
}

// directionFrom returns the direction to write into the label; none to leave it
// as it is.
func directionFrom(bot *gatewayv1.Bot, implied zio.Direction) (zio.Direction, error) {
	var named zio.Direction
	switch bot.GetDirection() {
	case gatewayv1.Direction_DIRECTION_EXTRACT:
		named = zio.Extract
	case gatewayv1.Direction_DIRECTION_INJECT:
		named = zio.Inject
	case gatewayv1.Direction_DIRECTION_UNSPECIFIED:
		return implied, nil
	default:
		return named, BadField("direction", "%d is not known", bot.GetDirection())
	}
	if implied != zio.NoDirection && named != implied {
		return named, BadField("direction", "is %v, but this call will %v", named, implied)
	}
	return named, nil
}

// replySize bounds the BOT that a stream gets in reply to its own, besides its payload,
// so that attributes do not make it larger than clients take.
const replySize = 2 << 20

// ToBot is the other side's BOT. For a client, by names who handles the flow.
func ToBot(d transport.Delivery, by *gatewayv1.TakenBy) *gatewayv1.Bot {
	bot := BareBot(d.Message)
	bot.Label, bot.Payload = string(d.Message.Label), d.Message.Payload // in one piece each: WithLabel has made it
	bot.Attributes, bot.LeftOut = Attributes(d.Message.Label, WholeAttributes(replySize-len(bot.Label)))
	bot.Credit = d.Credit
	bot.FlowId = uint64(d.Flow)
	bot.TakenBy = by
	return bot
}

// BareBot is a BOT with the fields that its label holds, without label, attributes
// and payload.
func BareBot(m *zio.Message) *gatewayv1.Bot {
	bot := &gatewayv1.Bot{
		Origin: m.Origin, Granule: m.Granule, Seqno: m.Seqno, Level: uint32(m.Level),
	}
	// A broker's BOT has passed ParseBot before.
	parsed, _ := zio.ParseBot(m.Label)
	bot.Credit = max(0, parsed.Credit.Value)
	bot.Cid = uint64(parsed.CID.Value)
	switch parsed.Direction {
	case zio.Extract:
		bot.Direction = gatewayv1.Direction_DIRECTION_EXTRACT
	case zio.Inject:
		bot.Direction = gatewayv1.Direction_DIRECTION_INJECT
	}
	return bot
}

// ToTakenBy is who handles a flow.
func ToTakenBy(f *relay.Flow) *gatewayv1.TakenBy {
	route, handler := f.TakenBy()
	return &gatewayv1.TakenBy{
		Route: route, Transport: handler.Transport, Address: handler.Address, Identity: handler.Identity, Name: handler.Name,
		Node: handler.Node,
	}
}

// ToPeer is a peer as the contract shows it.
func ToPeer(p transport.PeerInfo) *gatewayv1.Peer {
	return &gatewayv1.Peer{Transport: p.Transport, Address: p.Address, Identity: p.Identity, Name: p.Name, Agent: p.Agent, Node: p.Node}
}

// FromPeer is a peer that another node tells of.
func FromPeer(p *gatewayv1.Peer) transport.PeerInfo {
	return transport.PeerInfo{
		Transport: p.GetTransport(), Address: p.GetAddress(), Identity: p.GetIdentity(), Name: p.GetName(), Agent: p.GetAgent(),
		Node: p.GetNode(),
	}
}
