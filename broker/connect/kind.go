package connect

import (
	"math"

	"github.com/zioflow/gateway/broker/routes"
	"github.com/zioflow/gateway/broker/routing"
)

// Kind is the kind of the routes whose handlers c connects to.
func (c *Connector) Kind() routes.Kind {
	return routes.Kind{
		Name: "connect", Close: c.Close,
		Make: func(route string, f *routes.Fields) (routing.Factory, error) {
			target := Target{
				Address: f.Text("address"), Node: f.Text("node"), Port: f.Text("port"), ServerKey: f.Text("server_key"),
				MaxFlows: int(f.Integer("max_flows", 0, math.MaxInt32)),
			}
			if err := f.Done(); err != nil {
				return nil, err
			}
			return c.Factory(route, target)
		},
		Describe: func(f routing.Factory) (map[string]any, bool) {
			own, ok := f.(*Factory)
			if !ok {
				return nil, false
			}
			return own.target.describe(), true
		},
	}
}

// describe is the target as a route's description has it.
func (t Target) describe() map[string]any {
	fields := map[string]any{}
	for key, text := range map[string]string{"address": t.Address, "node": t.Node, "port": t.Port, "server_key": t.ServerKey} {
		if text != "" {
			fields[key] = text
		}
	}
	if t.MaxFlows > 0 {
		fields["max_flows"] = int64(t.MaxFlows)
	}
	return fields
}
