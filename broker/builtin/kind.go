package builtin

import (
	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/routes"
	"github.com/zioflow/gateway/broker/routing"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// Kind is the kind of the routes to the handlers in h.
func (h *Handlers) Kind() routes.Kind {
	return routes.KindOf(
		func(_ string, d *gatewayv1.BuiltinFactory) (broker.Factory, error) {
			if d.GetName() == "" {
				return nil, routing.WrongField("name", "is missing")
			}
			f := h.Named(d.GetName())
			if f == nil {
				return nil, routing.WrongField("name", "is %q, want dump or generate", d.GetName())
			}
			return f, nil
		},
		func(f broker.Factory) (*gatewayv1.BuiltinFactory, bool) {
			own, ok := f.(factory)
			return &gatewayv1.BuiltinFactory{Name: own.name}, ok
		})
}
