package builtin

import (
	"context"

	"github.com/zioflow/gateway/broker/routes"
	"github.com/zioflow/gateway/broker/routing"
)

// Kind is the kind of the routes to the handlers in h.
func (h *Handlers) Kind() routes.Kind {
	return routes.Kind{
		Name: "builtin", Close: func(context.Context) error { h.Wait(); return nil },
		Make: func(_ string, f *routes.Fields) (routing.Factory, error) {
			name := f.Required("name")
			found := h.Named(name)
			if found == nil {
				f.Wrong("name", "is %q, want dump or generate", name)
			}
			return found, f.Done()
		},
		Describe: func(f routing.Factory) (map[string]any, bool) {
			own, ok := f.(factory)
			return map[string]any{"name": own.name}, ok
		},
	}
}
