package admin

import (
	"math"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/ledger"
	"github.com/zioflow/gateway/broker/relay"
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/broker/zio"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/server/contract"
)

// heldUp is whom a flow waits for in the contract's words.
var heldUp = map[ledger.HeldUpBy]gatewayv1.HeldUpBy{
	ledger.ByGiver:   gatewayv1.HeldUpBy_HELD_UP_BY_GIVER,
	ledger.ByTaker:   gatewayv1.HeldUpBy_HELD_UP_BY_TAKER,
	ledger.ByGateway: gatewayv1.HeldUpBy_HELD_UP_BY_GATEWAY,
}

// What operators see, in lists and of a single flow.
var (
	listedAttributes = contract.AttributeLimits{Each: 2 << 10, Total: 16 << 10}
	singleAttributes = contract.AttributeLimits{Each: 32 << 10, Total: 256 << 10}
)

// toFlow is a flow as an operator sees it, with so much of its attributes. What does
// not apply is not set.
func toFlow(i *relay.Info, limits contract.AttributeLimits) *gatewayv1.Flow {
	attributes, left := contract.Attributes(i.Label, limits)
	f := &gatewayv1.Flow{
		Id: uint64(i.ID), State: stateOf(i.Phase), Reason: contract.ReasonOf(i.Reason), Detail: i.Detail,
		Client: contract.ToPeer(i.Client), Direction: directionOf(i.Direction),
		Credit: i.AgreedOrOffered(), Attributes: attributes, LeftOut: left, Route: i.Route,
		Opened: timeOf(i.Opened), Ended: timeOf(i.Ended), Deadline: timeOf(i.Deadline),
		FromClient: toTraffic(i.FromClient), FromHandler: toTraffic(i.FromHandler),
		MessagesPerSecond: rounded(i.MessageRate, 1), BytesPerSecond: rounded(i.ByteRate, 1),
		LastDat: timeOf(i.LastDAT), LastPay: timeOf(i.LastPAY),
		HeldUpBy: heldUp[i.HeldUpBy], Waits: toWaits(i.Waits),
	}
	if i.Handler != (transport.PeerInfo{}) {
		f.Handler = contract.ToPeer(i.Handler)
	}
	if i.Phase == flow.Active || i.Phase == flow.HalfClosed {
		f.CreditState = &gatewayv1.CreditState{
			HeldByGiver: i.Paid, Outstanding: i.Outstanding(), Withheld: i.Withheld,
			QueuedMessages: i.Queued, QueuedBytes: i.QueuedBytes,
		}
	}
	return f
}

func toTraffic(t ledger.Traffic) *gatewayv1.Traffic {
	return &gatewayv1.Traffic{Messages: t.Messages, Dats: t.DATs, Bytes: t.Bytes}
}

// toWaits is nil for a flow that was never active.
func toWaits(w ledger.Waits) *gatewayv1.Waits {
	total := w.Total()
	if total <= 0 {
		return nil
	}
	share := func(part time.Duration) float64 { return rounded(float64(part)/float64(total), 3) }
	return &gatewayv1.Waits{
		ForGiver: durationOf(w.Giver), ForTaker: durationOf(w.Taker), ForGateway: durationOf(w.Gateway),
		GiverShare: share(w.Giver), TakerShare: share(w.Taker), GatewayShare: share(w.Gateway),
	}
}

func directionOf(d zio.Direction) gatewayv1.Direction {
	if d == zio.Extract {
		return gatewayv1.Direction_DIRECTION_EXTRACT
	}
	return gatewayv1.Direction_DIRECTION_INJECT
}

// timeOf is a time of day to the microsecond, nil for none.
func timeOf(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t.Truncate(time.Microsecond))
}

// durationOf is a duration to the microsecond.
func durationOf(d time.Duration) *durationpb.Duration {
	return durationpb.New(d.Truncate(time.Microsecond))
}

// rounded is for people to read.
func rounded(x float64, decimals int) float64 {
	scale := math.Pow10(decimals)
	return math.Round(x*scale) / scale
}

// stateOf is a phase in the contract's words, which have one number more.
func stateOf(p flow.Phase) gatewayv1.FlowState { return gatewayv1.FlowState(p) + 1 }
