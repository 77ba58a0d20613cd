package spawn

import (
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/routes"
	"github.com/zioflow/gateway/broker/routing"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// Kind is the kind of the routes whose handlers are commands that s starts.
func (s *Spawner) Kind() routes.Kind {
	kind := routes.KindOf(
		func(route string, d *gatewayv1.ExecFactory) (broker.Factory, error) {
			if limit := d.GetMaxTime(); limit != nil && limit.CheckValid() != nil {
				return nil, routing.WrongField("max_time", "is no duration")
			}
			return s.Factory(route, Command{
				Arguments: d.GetCommand(), MaxProcesses: int(d.GetMaxProcesses()), MaxTime: d.GetMaxTime().AsDuration(),
			})
		},
		func(f broker.Factory) (*gatewayv1.ExecFactory, bool) {
			own, ok := f.(*Factory)
			if !ok {
				return nil, false
			}
			c := own.Command()
			d := &gatewayv1.ExecFactory{Command: c.Arguments, MaxProcesses: uint32(c.MaxProcesses)}
			if c.MaxTime > 0 {
				d.MaxTime = durationpb.New(c.MaxTime)
			}
			return d, true
		})
	kind.RunsCommands = true
	return kind
}
