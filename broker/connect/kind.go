package connect

import (
	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/routes"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// Kind is the kind of the routes whose handlers c connects to.
func (c *Connector) Kind() routes.Kind {
	return routes.KindOf(
		func(route string, d *gatewayv1.ConnectFactory) (broker.Factory, error) {
			return c.Factory(route, Target{
				Address: d.GetAddress(), Node: d.GetNode(), Port: d.GetPort(), ServerKey: d.GetServerKey(), MaxFlows: int(d.GetMaxFlows()),
			})
		},
		func(f broker.Factory) (*gatewayv1.ConnectFactory, bool) {
			own, ok := f.(*Factory)
			if !ok {
				return nil, false
			}
			t := own.Target()
			return &gatewayv1.ConnectFactory{
				Address: t.Address, Node: t.Node, Port: t.Port, ServerKey: t.ServerKey, MaxFlows: uint32(t.MaxFlows),
			}, true
		})
}
