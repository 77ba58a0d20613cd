package zioflow

import (
	"fmt"

	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// Direction is what the sender of a BOT will do, in ZIO's words.
type Direction int32

// The directions.
const (
	Extract = Direction(gatewayv1.Direction_DIRECTION_EXTRACT) // it gives
	Inject  = Direction(gatewayv1.Direction_DIRECTION_INJECT)  // it takes
)

func (d Direction) String() string {
	switch d {
	case Extract:
		return "extract"
	case Inject:
		return "inject"
	default:
		return fmt.Sprintf("Direction(%d)", int32(d))
	}
}

// Bot opens one side of a flow: what its sender asks for, and what the
// applications on both sides want to tell each other.
type Bot struct {
	// Attributes are the application's own, by name. To send them, use any value
	// that encoding/json encodes; integers cross exactly. Received values are
	// nil, bool, string, int64, uint64 beyond that, float64, json.Number beyond
	// all of these, []any and map[string]any. Of a received Label that is no JSON, as
	// it has NaN or Infinity, they are what the gateway could read.
	//
	// The names flow, direction, credit and cid are the protocol's.
	Attributes map[string]any
	// Label is the text of a JSON object. To send it is optional: Attributes are
	// merged over it, and it need not have the protocol's keys, which are
	// replaced. A received Bot's is as it came.
	Label []byte
	// Credit is how many messages may be under way. The smaller of both sides'
	// counts; 0 leaves it to the other side.
	Credit int64
	// Payload is opaque parts, which cross as they are.
	Payload [][]byte
	// Origin says who sent it, by the application's own numbering.
	Origin uint64
	// Granule is microseconds since the epoch by convention; 0 is replaced by
	// the present.
	Granule uint64
	// Level is ZIO's message level, 0 to 8.
	Level uint8
}

// Dat is a message of data.
type Dat struct {
	// Label is the text of a JSON object. If it is empty or has no key flow, the
	// gateway supplies that; otherwise it crosses byte for byte. Any flow in it
	// but "DAT" ends the flow with ProtocolError.
	Label []byte
	// Payload is opaque parts, which cross as they are.
	Payload [][]byte
	// Origin says who sent it, by the application's own numbering.
	Origin uint64
	// Granule is microseconds since the epoch by convention; 0 is replaced by
	// the present.
	Granule uint64
	// Seqno is the sender's message count. The gateway sets it: what is sent here
	// has no effect.
	Seqno uint64
	// Level is ZIO's message level, 0 to 8.
	Level uint8
}

const maxLevel = 8

// encode is the BOT of one who will go in that direction.
func (b Bot) encode(d Direction) (*gatewayv1.Bot, error) {
	if err := checkLevel(b.Level); err != nil {
		return nil, err
	}
	label, err := mergeLabel(b.Label, b.Attributes)
	if err != nil {
		return nil, err
	}
	return &gatewayv1.Bot{
		Label: label, Direction: gatewayv1.Direction(d), Credit: b.Credit,
		Payload: b.Payload, Origin: b.Origin, Granule: b.Granule, Level: uint32(b.Level),
	}, nil
}

func decodeBot(b *gatewayv1.Bot) Bot {
	return Bot{
		Attributes: attributesOf(b.GetLabel(), b.GetAttributes()), Label: []byte(b.GetLabel()), Credit: b.GetCredit(),
		Payload: b.GetPayload(), Origin: b.GetOrigin(), Granule: b.GetGranule(), Level: uint8(b.GetLevel()),
	}
}

func (d Dat) encode() (*gatewayv1.Dat, error) {
	if err := checkLevel(d.Level); err != nil {
		return nil, err
	}
	if len(d.Label) > 0 {
		if err := checkLabel(d.Label); err != nil {
			return nil, err
		}
	}
	return &gatewayv1.Dat{
		Label: string(d.Label), Payload: d.Payload,
		Origin: d.Origin, Granule: d.Granule, Level: uint32(d.Level),
	}, nil
}

func decodeDat(d *gatewayv1.Dat) Dat {
	return Dat{
		Label: []byte(d.GetLabel()), Payload: d.GetPayload(),
		Origin: d.GetOrigin(), Granule: d.GetGranule(), Seqno: d.GetSeqno(), Level: uint8(d.GetLevel()),
	}
}

func checkLevel(level uint8) error {
	if level > maxLevel {
		return fmt.Errorf("%w: level is %d, want 0 to %d", ErrInvalid, level, maxLevel)
	}
	return nil
}
