package transfer

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/zioflow/gateway/broker/zio"
	"github.com/zioflow/gateway/cli/exit"
	zioflow "github.com/zioflow/gateway/clients/go"
)

// matched is a flow whose handler this is, as a listener.
type matched struct {
	flow
	over func() // lets the listener go
}

func (m *matched) end() error {
	defer m.over()
	return m.flow.end()
}

func (m *matched) leave() {
	defer m.over()
	m.flow.leave()
}

// await opens a flow as the handler of the next one that Match takes.
func (t *terms) await(ctx context.Context, direction zio.Direction, attributes map[string]any) (flow, error) {
	if t.CID != 0 {
		return nil, exit.Errorf(exit.Usage, "--match and --cid exclude each other")
	}
	gateway, address, err := t.dial()
	if err != nil {
		return nil, err
	}
	name := map[zio.Direction]string{zio.Inject: "gateway get", zio.Extract: "gateway put"}[direction]
	l := listen(ctx, gateway, name, t.Match, direction, 1)
	select {
	case <-l.listening:
		note("waiting for a flow that matches, at %s", address)
	case <-l.ended:
	}
	select {
	case cid := <-l.offers:
		f, err := t.openAs(ctx, cid, direction, attributes)
		if err != nil {
			l.close()
			return nil, errors.Join(err, gateway.Close())
		}
		return &matched{f, func() { l.close(); _ = gateway.Close() }}, nil
	case <-l.ended:
		return nil, errors.Join(l.err, gateway.Close())
	}
}

// listener takes offers, which are accepted elsewhere by their cids.
type listener struct {
	offers    chan uint64
	listening chan struct{} // closed when the gateway knows it
	ended     chan struct{} // closed when it is over
	err       error         // why; set before ended
	stop      context.CancelFunc
}

// wrongMatch is how the gateway begins to say what is wrong with an expression.
var wrongMatch = regexp.MustCompile(`match expression: 1:(\d+)`)

// listen announces a listener for at most that many flows that go in that direction, as
// the handler sees it, until ctx ends or it is closed. Until there is a flow it is announced
// again where the gateway asks for that, as the connection is too old: one may wait for days.
func listen(ctx context.Context, gateway *zioflow.Gateway, name, match string, direction zio.Direction, flows uint32) *listener {
	ctx, stop := context.WithCancel(ctx)
	l := &listener{
		offers: make(chan uint64), listening: make(chan struct{}), ended: make(chan struct{}), stop: stop,
	}
	first := sync.OnceFunc(func() { close(l.listening) })
	var given atomic.Bool
	registered := false
	announced := zioflow.Listener{
		Name: name, Match: fmt.Sprintf("(%s\n) && direction == %q", match, direction), MaxFlows: flows,
		OnListening: func(uint64) { registered = true; first() },
	}
	hand := func(offered context.Context, o *zioflow.Offer) error {
		select {
		case l.offers <- o.CID():
			given.Store(true)
			<-offered.Done() // it is accepted by whoever took the cid
		case <-offered.Done():
		}
		return nil
	}
	go func() {
		defer close(l.ended)
		defer stop()
		// It is Handle and not Serve, which would go on before it is known whether the last offer
		// was taken.
		for again := true; again; {
			registered = false
			err := gateway.Handle(ctx, announced, hand)
			if registered || l.err == nil || status.Code(err) != codes.Unavailable {
				l.err = err // otherwise the gateway has told before why it is not there
			}
			again = registered && !given.Load() && zioflow.ReasonOf(err) == zioflow.Draining && ctx.Err() == nil
		}
		if cause := context.Cause(ctx); cause != nil {
			l.err = cause
		}
		if place := wrongMatch.FindStringSubmatchIndex(fmt.Sprint(l.err)); place != nil { // behind the bracket
			text := l.err.Error()
			column, _ := strconv.Atoi(text[place[2]:place[3]])
			l.err = exit.Errorf(exit.Usage, "--match: 1:%d%s", column-1, text[place[3]:])
		}
	}()
	return l
}

// close ends the listener and waits for that. Flows that were accepted go on.
func (l *listener) close() {
	l.stop()
	<-l.ended
}
