package match

import (
	"strings"
	"time"

	"cel.dev/cel-go/cel"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/relay"
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/broker/zio"
)

// Filter is a compiled expression that selects flows to be shown. It may be used
// concurrently.
type Filter struct{ program cel.Program }

// flowEnvironment declares what a filter may name.
var flowEnvironment = func() *cel.Env {
	options := append(bounded(),
		cel.Variable("attributes", cel.MapType(cel.StringType, cel.DynType)),
		cel.Variable("age", cel.DurationType),
		cel.Variable("since_dat", cel.DurationType),
	)
	for _, name := range []string{"id", "credit", "messages", "bytes"} {
		options = append(options, cel.Variable(name, cel.IntType))
	}
	for _, name := range []string{"state", "reason", "route", "direction", "held_up_by"} {
		options = append(options, cel.Variable(name, cel.StringType))
	}
	for _, side := range []string{"client", "handler"} {
		for _, name := range []string{"transport", "address", "identity", "name", "agent"} {
			options = append(options, cel.Variable(side+"."+name, cel.StringType))
		}
	}
	env, err := cel.NewEnv(options...)
	if err != nil { // a mistake in the lines above
		panic(err)
	}
	return env
}()

// CompileFilter reads a CEL expression over id, state ("pending", "active",
// "half_closed", "ended"), reason (empty before the end), route, direction (the
// client's), credit, attributes, messages and bytes (of the DATs), held_up_by,
// age (from the BOT to now, or to the end), since_dat (from the last DAT, or the BOT if
// there was none, likewise), and transport, address, identity, name and agent of client and
// handler. The error names position and cause; a comparison with a value that there
// cannot be is one.
func CompileFilter(expression string) (*Filter, error) {
	compiled, program, err := compileIn(flowEnvironment, expression, costLimit)
	if err != nil {
		return nil, err
	}
	if err := checkWords(compiled.NativeRep()); err != nil {
		return nil, err
	}
	return &Filter{program}, nil
}

var stateNames = map[flow.Phase]string{
	flow.Pending: "pending", flow.Active: "active", flow.HalfClosed: "half_closed", flow.Ended: "ended",
}

// Match tells whether a flow is selected, and what it cost to find that out, in units
// of some 0.2 µs: some 60,000 at the most. What can't be evaluated, such as an attribute that the flow does not
// have, is false.
func (f *Filter) Match(i *relay.Info, now time.Time) (matched bool, cost uint64) {
	variables := &flowVariables{Info: i, now: now}
	result, details, err := f.program.Eval(variables)
	cost = variables.cost
	if spent := details.ActualCost(); spent != nil {
		cost += min(*spent, costLimit)
	}
	if err != nil {
		return false, cost
	}
	matched, _ = result.Value().(bool)
	return matched, cost
}

// flowVariables is a flow's values of what flowEnvironment declares, each made
// when it is asked for. It implements cel.Activation.
type flowVariables struct {
	*relay.Info
	now        time.Time
	attributes map[string]any // nil until they are asked for
	cost       uint64         // of reading them
}

// What reading a label costs: all of it is gone through, and of its values so many
// bytes are read as zio.Attributes reads at the most.
const (
	valuesRead    = 64 << 10
	bytesPerValue = 2
)

// read reads the flow's attributes, once for all that an expression asks of them.
func (v *flowVariables) read() map[string]any {
	if v.attributes == nil {
		v.attributes = zio.Attributes(v.Label)
		v.cost += uint64(len(v.Label)/bytesPerUnit + min(len(v.Label), valuesRead)/bytesPerValue)
	}
	return v.attributes
}

// Parent implements cel.Activation.
func (*flowVariables) Parent() cel.Activation { return nil }

// ResolveName implements cel.Activation.
func (v *flowVariables) ResolveName(name string) (any, bool) {
	if rest, is := strings.CutPrefix(name, "client."); is {
		return peerVariable(&v.Client, rest)
	}
	if rest, is := strings.CutPrefix(name, "handler."); is {
		return peerVariable(&v.Handler, rest)
	}
	switch name {
	case "id":
		return int64(v.ID), true
	case "state":
		return stateNames[v.Phase], true
	case "reason":
		if v.Phase != flow.Ended {
			return "", true
		}
		return v.Reason.String(), true
	case "route":
		return v.Route, true
	case "direction":
		return v.Direction.String(), true
	case "credit":
		return v.AgreedOrOffered(), true
	case "attributes":
		return v.read(), true
	case "messages":
		return int64(v.Data.Messages), true
	case "bytes":
		return int64(v.Data.Bytes), true
	case "held_up_by":
		return v.HeldUpBy.String(), true
	case "age":
		return v.Age(v.now), true
	case "since_dat":
		return v.SinceDAT(v.now), true
	default:
		return nil, false
	}
}

func peerVariable(p *transport.PeerInfo, name string) (any, bool) {
	switch name {
	case "transport":
		return p.Transport, true
	case "address":
		return p.Address, true
	case "identity":
		return p.Identity, true
	case "name":
		return p.Name, true
	case "agent":
		return p.Agent, true
	default:
		return nil, false
	}
}
