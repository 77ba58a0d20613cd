package tables

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// Flows are a row for each flow, as it is at that time.
func Flows(flows []*gatewayv1.Flow, now time.Time) *Table {
	t := &Table{
		Columns: []Column{
			{"NODE", false}, {"ID", true}, {"STATE", false}, {"RATE", true}, {"BYTES", true}, {"CREDIT", true}, {"HELD UP BY", false},
			{"AGE", true}, {"ROUTE", false}, {"CLIENT", false}, {"", false}, {"HANDLER", false}, {"ATTRIBUTES", false},
		},
		Rows:  make([][]Cell, len(flows)),
		Empty: "no flows",
	}
	for i, f := range flows {
		rate, bytes := Rate(f.GetMessagesPerSecond()), ByteRate(f.GetBytesPerSecond())
		if f.GetState() == gatewayv1.FlowState_FLOW_STATE_ENDED {
			rate, bytes = "", ""
		}
		t.Rows[i] = []Cell{
			of(f.GetNode()), of(Number(f.GetId())), State(f), of(rate), of(bytes),
			of(Credit(f)), HeldUp(f), of(Span(Age(f, now))), of(f.GetRoute()),
			of(Peer(f.GetClient())), of(Arrow(f)), of(Peer(f.GetHandler())), of(Attributes(f.GetAttributes())),
		}
	}
	return t
}

// Number is an id, without commas, so that it can be given to a command.
func Number(id uint64) string { return fmt.Sprint(id) }

// StateWord is a state as filters have it.
func StateWord(s gatewayv1.FlowState) string { return word(s.String(), "FLOW_STATE_") }

// ReasonWord is a reason as filters, logs and metrics have it.
func ReasonWord(r gatewayv1.EndReason) string { return word(r.String(), "END_REASON_") }

func word(name, prefix string) string { return strings.ToLower(strings.TrimPrefix(name, prefix)) }

// State is how far a flow has come; of one that has ended, why.
func State(f *gatewayv1.Flow) Cell {
	switch f.GetState() {
	case gatewayv1.FlowState_FLOW_STATE_PENDING, gatewayv1.FlowState_FLOW_STATE_HALF_CLOSED:
		return Cell{StateWord(f.GetState()), Odd}
	case gatewayv1.FlowState_FLOW_STATE_ENDED:
		mood := Bad
		if f.GetReason() == gatewayv1.EndReason_END_REASON_COMPLETED {
			mood = Dim
		}
		return Cell{ReasonWord(f.GetReason()), mood}
	default:
		return Cell{StateWord(f.GetState()), Good}
	}
}

// Credit is how many DATs the giver may send at once, of how many there may be under way.
func Credit(f *gatewayv1.Flow) string {
	if f.GetCreditState() == nil {
		return fmt.Sprint(f.GetCredit())
	}
	return fmt.Sprintf("%d/%d", f.GetCreditState().GetHeldByGiver(), f.GetCredit())
}

// HeldUp is whom a flow has waited for most, with the share of its active time; of one that
// is active, behind it whom it waits for now, where that is somebody else.
func HeldUp(f *gatewayv1.Flow) Cell {
	w := f.GetWaits()
	who, share := "", 0.0
	for _, by := range []struct {
		who   string
		share float64
	}{{"giver", w.GetGiverShare()}, {"taker", w.GetTakerShare()}, {"gateway", w.GetGatewayShare()}} {
		if by.share > share {
			who, share = by.who, by.share
		}
	}
	if who == "" {
		return Cell{}
	}
	text := fmt.Sprintf("%s %.0f%%", who, share*100)
	if now := HeldUpWord(f.GetHeldUpBy()); now != "" && now != who {
		text += ", now " + now
	}
	mood := Plain
	switch {
	case who == "gateway":
		mood = Bad
	case who == "taker" && share >= 0.5:
		mood = Odd
	}
	return Cell{text, mood}
}

// HeldUpWord is whom a flow waits for as filters have it; empty for nobody.
func HeldUpWord(by gatewayv1.HeldUpBy) string {
	if by == gatewayv1.HeldUpBy_HELD_UP_BY_UNSPECIFIED {
		return ""
	}
	return word(by.String(), "HELD_UP_BY_")
}

// Age is how old a flow is, or was at its end.
func Age(f *gatewayv1.Flow, now time.Time) time.Duration {
	if f.GetEnded() != nil {
		now = f.GetEnded().AsTime()
	}
	return now.Sub(f.GetOpened().AsTime())
}

// Arrow points to the taker, from the client on the left to the handler on the right.
func Arrow(f *gatewayv1.Flow) string {
	switch f.GetDirection() {
	case gatewayv1.Direction_DIRECTION_EXTRACT:
		return "→"
	case gatewayv1.Direction_DIRECTION_INJECT:
		return "←"
	default:
		return ""
	}
}

// Peer is who takes part, and how he is reached: by the name that he has proved to have
// where he has, by what he calls himself otherwise, or by where he is.
func Peer(p *gatewayv1.Peer) string {
	if p == nil {
		return ""
	}
	who := p.GetAddress()
	switch {
	case p.GetName() != "":
		who = p.GetName()
	case p.GetIdentity() != "":
		who = p.GetIdentity()
	}
	return strings.Join(strings.Fields(p.GetTransport()+" "+who+" "+atNode(p)), " ")
}

// Attributes are a flow's as NAME=VALUE words, by name; values that are no plain ones in
// JSON.
func Attributes(s *structpb.Struct) string {
	words := make([]string, 0, len(s.GetFields()))
	for _, name := range slices.Sorted(maps.Keys(s.GetFields())) {
		words = append(words, name+"="+value(s.GetFields()[name]))
	}
	return strings.Join(words, " ")
}

func value(v *structpb.Value) string {
	if s, is := v.GetKind().(*structpb.Value_StringValue); is && s.StringValue != "" && !strings.ContainsAny(s.StringValue, " \"") {
		return s.StringValue
	}
	text, err := json.Marshal(v.AsInterface())
	if err != nil {
		return "?" // NaN, which JSON has not
	}
	return string(text)
}

// since is how long ago a moment was; nothing if it was never.
func since(t *timestamppb.Timestamp, now time.Time) string {
	if t == nil {
		return ""
	}
	return Span(now.Sub(t.AsTime()))
}

func moment(t *timestamppb.Timestamp) string {
	if t == nil {
		return ""
	}
	return Moment(t.AsTime())
}
