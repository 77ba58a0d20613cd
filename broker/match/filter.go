package match

import (
	"strings"
	"time"

	"cel.dev/cel-go/cel"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/flow"
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
	)
	for _, name := range []string{"id", "credit", "messages", "bytes"} {
		options = append(options, cel.Variable(name, cel.IntType))
	}
	for _, name := range []string{"state", "reason", "route", "direction", "held_up_by"} {
		options = append(options, cel.Variable(name, cel.StringType))
	}
	for _, side := range []string{"client", "handler"} {
		for _, name := range []string{"transport", "address", "identity", "name"} {
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
// age (from the BOT to now, or to the end), and transport, address, identity and
// name of client and handler. The error names position and cause.
func CompileFilter(expression string) (*Filter, error) {
	_, program, err := compileIn(flowEnvironment, expression, costLimit)
	if err != nil {
		return nil, err
	}
	return &Filter{program}, nil
}

var stateNames = map[flow.Phase]string{
	flow.Pending: "pending", flow.Active: "active", flow.HalfClosed: "half_closed", flow.Ended: "ended",
}

// Match tells whether a flow is selected. What can't be evaluated, such as an
// attribute that the flow does not have, is false.
func (f *Filter) Match(i *broker.FlowInfo, now time.Time) bool {
	result, _, err := f.program.Eval(&flowVariables{i, now})
	if err != nil {
		return false
	}
	matched, ok := result.Value().(bool)
	return ok && matched
}

// flowVariables is a flow's values of what flowEnvironment declares, each made
// when it is asked for. It implements cel.Activation.
type flowVariables struct {
	*broker.FlowInfo
	now time.Time
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
		return zio.Attributes(v.Label), true
	case "messages":
		return int64(v.Data.Messages), true
	case "bytes":
		return int64(v.Data.Bytes), true
	case "held_up_by":
		return v.HeldUpBy.String(), true
	case "age":
		return v.Age(v.now), true
	default:
		return nil, false
	}
}

func peerVariable(p *broker.PeerInfo, name string) (any, bool) {
	switch name {
	case "transport":
		return p.Transport, true
	case "address":
		return p.Address, true
	case "identity":
		return p.Identity, true
	case "name":
		return p.Name, true
	default:
		return nil, false
	}
}
