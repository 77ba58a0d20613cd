// Package builtin has the handlers inside the gateway, so that a newcomer sees
// data move: Dump takes and counts, Generate gives a pattern that can be
// checked. To the broker they are peers like any other.
package builtin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/matching"
	"github.com/zioflow/gateway/broker/routing"
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/broker/zio"
	"github.com/zioflow/gateway/internal/logs"
)

// defaultCredit is what a handler asks for when the client leaves it open.
const defaultCredit = 10

// Handlers makes the built-in factories and waits for the flows they handle.
type Handlers struct {
	broker *broker.Broker
	lines  *logs.Sampler
	flows  sync.WaitGroup
}

// New prepares the built-in handlers of a broker.
func New(b *broker.Broker, log *slog.Logger) *Handlers {
	return &Handlers{broker: b, lines: logs.NewSampler(log, logs.Options{})}
}

// Wait returns when no built-in handler is busy any more; the broker must have
// been closed.
func (h *Handlers) Wait() { h.flows.Wait() }

// Attribute is by which a BOT asks for a built-in handler by name.
const Attribute = "builtin"

// AddRoutes has the built-in handlers serve the BOTs that ask for them by name,
// unless a configured route takes them first.
func (h *Handlers) AddRoutes() error {
	var wrong error
	for _, name := range []string{"dump", "generate"} {
		r := routing.Route{Name: name, Match: asked(name), Factory: h.Named(name)}
		wrong = errors.Join(wrong, h.broker.AddNamedRoute(r))
	}
	return wrong
}

// AddDefaultRoutes has clients that give served by dump, clients that take by
// generate, unless another route or a listener takes them. It is an error if
// there are routes of these names.
func (h *Handlers) AddDefaultRoutes() error {
	return errors.Join(
		h.broker.AddDefaultRoute(routing.Route{Name: "dump", Match: towards(zio.Inject), Factory: h.Dump()}),
		h.broker.AddDefaultRoute(routing.Route{Name: "generate", Match: towards(zio.Extract), Factory: h.Generate()}),
	)
}

// Named returns the factory of that name, "dump" or "generate"; nil for any
// other.
func (h *Handlers) Named(name string) routing.Factory {
	switch name {
	case "dump":
		return h.Dump()
	case "generate":
		return h.Generate()
	}
	return nil
}

// towards matches the BOTs whose handler has that direction.
type towards zio.Direction

// Match implements matching.Match.
func (d towards) Match(v *matching.View) bool { return v.Direction == zio.Direction(d) }

// String is the match as a CEL expression.
func (d towards) String() string { return fmt.Sprintf("direction == '%v'", zio.Direction(d)) }

// Explain implements matching.Explainer.
func (d towards) Explain(v *matching.View) string {
	return fmt.Sprintf("direction is %q", v.Direction.String())
}

// asked matches the BOTs that ask for the handler of that name.
type asked string

// Match implements matching.Match.
func (a asked) Match(v *matching.View) bool { return v.Attributes()[Attribute] == string(a) }

// String is the match as a CEL expression.
func (a asked) String() string { return fmt.Sprintf("attributes.%s == '%s'", Attribute, string(a)) }

// Explain implements matching.Explainer.
func (a asked) Explain(v *matching.View) string {
	switch value, found := v.Attributes()[Attribute]; {
	case !found:
		return fmt.Sprintf("attributes.%s is missing", Attribute)
	case value != string(a):
		return fmt.Sprintf("attributes.%s is not %q", Attribute, string(a))
	}
	return "is true"
}

// factory is a routing.Factory that serves every flow in a goroutine of its own.
type factory struct {
	handlers  *Handlers
	name      string
	direction zio.Direction
	// prepare reads the offered BOT; an error refuses the flow.
	prepare func(routing.Offer) (serve, error)
}

// serve takes part in a flow from the client's BOT to the EOT.
type serve func(context.Context, *session) error

// Find implements routing.Factory.
func (f factory) Find(_ context.Context, r *routing.Request) error {
	offer, err := r.Offer()
	if err != nil {
		return err
	}
	if offer.Direction != f.direction {
		return errors.New(f.mismatch(offer.Direction))
	}
	run, err := f.prepare(offer)
	if err != nil {
		return err
	}
	f.handlers.flows.Go(func() {
		s := newSession(f.handlers, f.name, r.Flow(), offer.Client)
		defer s.leave()
		if err := s.accept(offer); err != nil {
			return
		}
		if err := run(context.Background(), s); err != nil {
			s.say("builtin_ended", "built-in handler ended early", "reason", reasonOf(err).String(), "detail", err.Error())
		}
	})
	return nil
}

// mismatch says why a flow in which the handler has this direction is refused.
func (f factory) mismatch(handler zio.Direction) string {
	return fmt.Sprintf("%s serves clients that %v, this one will %v", f.name, f.direction.Reverse(), handler.Reverse())
}

// Explain implements matching.Explainer.
func (f factory) Explain(v *matching.View) string {
	if v.Direction != f.direction {
		return "but the flow ends with rejected: " + f.mismatch(v.Direction)
	}
	return ""
}

// session is a built-in handler's side of one flow.
type session struct {
	peer   *broker.Peer
	outbox *transport.Outbox
	say    func(kind, message string, arguments ...any) // logs, unless the client has caused too much
	credit int64                                        // agreed
	seqno  uint64
	batch  []transport.Delivery
}

func newSession(h *Handlers, name string, id transport.FlowID, client transport.PeerInfo) *session {
	outbox := transport.NewOutbox(h.broker.Options().OutboxLimit())
	info := transport.PeerInfo{Transport: "builtin", Identity: name}
	return &session{
		outbox: outbox,
		peer:   h.broker.Attach(outbox, info),
		say: func(kind, message string, arguments ...any) {
			arguments = append([]any{"flow", id, "client", client, "handler", info}, arguments...)
			h.lines.Log(context.Background(), slog.LevelInfo, kind, client.Who(), message, arguments...)
		},
	}
}

// reasonOf is why a session's flow ended, as far as the session can tell.
func reasonOf(err error) flow.Reason {
	if end, ok := errors.AsType[*flow.Error](err); ok {
		return end.Reason
	}
	if err == nil {
		return flow.Completed
	}
	return flow.NotEnded
}

// accept sends the handler's BOT and waits for the client's.
func (s *session) accept(o routing.Offer) error {
	credit := o.Credit
	if credit == 0 {
		credit = defaultCredit
	}
	label, err := zio.RewriteBot(o.Bot.Label, o.Direction, credit, o.CID)
	if err != nil {
		return err
	}
	s.send(label, nil)
	first, err := s.take(context.Background())
	if err != nil {
		return err
	}
	if first[0].Type != zio.BOT {
		return &flow.Error{Reason: first[0].Reason, Detail: first[0].Detail}
	}
	first[0].Message.Release()
	s.credit = first[0].Credit
	s.batch = first[1:]
	return nil
}

// leave takes the handler out of its flow, which has ended unless it gave up.
func (s *session) leave() {
	s.peer.Leave("the handler is done")
	s.outbox.Close()
}

func (s *session) send(label []byte, payload [][]byte) { s.sendMessage(label, payload, nil) }

// sendPieces sends a payload of one part, in pieces.
func (s *session) sendPieces(label []byte, pieces [][]byte) {
	s.sendMessage(label, pieces, []int{len(pieces)})
}

func (s *session) sendMessage(label []byte, payload [][]byte, ends []int) {
	m := &zio.Message{
		Form: zio.FormFlow, Label: label, Payload: payload, Ends: ends,
		Coord: zio.Coord{Granule: uint64(time.Now().UnixMicro()), Seqno: s.seqno},
	}
	s.seqno++
	s.peer.Receive(m)
}

func (s *session) pay(n int64) error {
	label, err := zio.Supply(nil, zio.PAY, n)
	if err != nil {
		return err
	}
	s.send(label, nil)
	return nil
}

// take waits for messages; the caller releases them.
func (s *session) take(ctx context.Context) ([]transport.Delivery, error) {
	if batch := s.batch; len(batch) > 0 {
		s.batch = nil
		return batch, nil
	}
	return s.outbox.Take(ctx, nil)
}

// finish answers the other side's EOT, unless the flow is over.
func (s *session) finish(eot transport.Delivery) error {
	if eot.Reason == flow.NotEnded {
		s.send([]byte(`{"flow":"EOT"}`), nil)
		return nil
	}
	if eot.Reason == flow.Completed {
		return nil
	}
	return &flow.Error{Reason: eot.Reason, Detail: eot.Detail}
}
