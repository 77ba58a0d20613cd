package main

import (
	"testing"

	"github.com/zioflow/gateway/broker/routes"
)

// TestDescriptionsCanBeRead: a configuration file can have every field of every way to
// describe a factory.
func TestDescriptionsCanBeRead(t *testing.T) {
	t.Parallel()
	for _, member := range routes.Descriptions() {
		fields := member.Message().Fields()
		for i := range fields.Len() {
			name := string(fields.Get(i).Name())
			t.Run(string(member.Name())+"."+name, func(t *testing.T) {
				t.Parallel()
				for _, value := range []any{"7s", int64(7), []any{"text"}} {
					f := newFields("routes[0]", map[string]any{name: value})
					message := f.message(member.Message())
					if f.done() == nil && message.ProtoReflect().Has(fields.Get(i)) {
						return
					}
				}
				t.Error("no value can be set")
			})
		}
	}
}
