//go:build cgo && libzmq

package libzmq

// #include <zmq.h>
import "C"

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	zmq "github.com/pebbe/zmq4/draft"

	"github.com/zioflow/gateway/access"
	"github.com/zioflow/gateway/broker/rights"
	"github.com/zioflow/gateway/zmqbridge"
)

const (
	zapAddress = "inproc://zeromq.zap.01"
	// plainDomain stands in the place of a front for addresses without CURVE.
	plainDomain = "plain"
	// keyProperty is by which a connection's messages tell the key that was
	// shown. A peer may send properties of its own, so the value begins with a
	// mark that none knows.
	keyProperty = "Zio-Key"
)

// guard says which connections are let in, by ZAP (RFC 27), and sees those that
// fail before they come so far. One goroutine owns its sockets.
type guard struct {
	options  Options
	context  *zmq.Context
	zap      *zmq.Socket
	poller   *zmq.Poller
	monitors map[*zmq.Socket]string // with their fronts

	owner    sync.WaitGroup
	stopping atomic.Bool
}

// newGuard binds the ZAP socket, which has to be before any endpoint. nil
// without CURVE.
func newGuard(context *zmq.Context, o Options) (_ *guard, err error) {
	if o.CurveKey == "" {
		return nil, nil
	}
	if o.Access == nil {
		return nil, errors.New("CURVE needs to know whose keys to take")
	}
	if _, err := access.ParseCurveKey(o.CurveKey); err != nil {
		return nil, fmt.Errorf("the secret key: %w", err)
	}
	g := &guard{options: o, context: context, poller: zmq.NewPoller(), monitors: map[*zmq.Socket]string{}}
	if g.zap, err = context.NewSocket(zmq.REP); err != nil {
		return nil, err
	}
	if err := errors.Join(g.zap.SetLinger(0), g.zap.Bind(zapAddress)); err != nil {
		return nil, errors.Join(fmt.Errorf("bind %s: %w", zapAddress, err), g.zap.Close())
	}
	g.poller.Add(g.zap, zmq.POLLIN)
	return g, nil
}

// protect has the address that is bound next ask for CURVE, or not. A nil guard
// protects nothing.
func (g *guard) protect(s *socket, front, address string) error {
	switch {
	case g == nil:
		return nil
	case g.options.PlainLocal && zmqbridge.IsLocal(address):
		return errors.Join(s.SetCurveServer(0), s.SetZapDomain(plainDomain))
	default:
		return s.ServerAuthCurve(front, g.options.CurveKey)
	}
}

// watch takes note of what fails on a socket that has not been bound yet.
func (g *guard) watch(s *socket, front string) error {
	if g == nil {
		return nil
	}
	at := "inproc://monitor." + front
	if err := s.Monitor(at, zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL|zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL); err != nil {
		return err
	}
	monitor, err := g.context.NewSocket(zmq.PAIR)
	if err != nil {
		return err
	}
	g.monitors[monitor] = front
	g.poller.Add(monitor, zmq.POLLIN)
	return errors.Join(monitor.SetLinger(0), monitor.Connect(at))
}

// start begins to answer. The endpoints are bound by then, and those who have
// come meanwhile wait.
func (g *guard) start() {
	if g != nil {
		g.owner.Go(g.run)
	}
}

// stop returns when nothing is answered any more. The endpoints are closed by
// then.
func (g *guard) stop() error {
	if g == nil {
		return nil
	}
	g.stopping.Store(true)
	g.owner.Wait()
	errs := []error{g.zap.Close()}
	for monitor := range g.monitors {
		errs = append(errs, monitor.Close())
	}
	return errors.Join(errs...)
}

func (g *guard) run() {
	for !g.stopping.Load() {
		ready, err := g.poller.Poll(pollInterval)
		if err != nil {
			g.options.Log.Error("poll for authentication failed", "error", err)
			time.Sleep(pollInterval) // do not spin on an error that lasts
			continue
		}
		for _, polled := range ready {
			if front, monitor := g.monitors[polled.Socket]; monitor {
				err = g.takeEvent(polled.Socket, front)
			} else {
				err = g.answer()
			}
			if err != nil {
				g.options.Log.Error("authentication failed", "error", err)
			}
		}
	}
}

// noCurve is told of both, as they can't always be told apart.
var noCurve = &access.Denial{
	Cause: access.NoCurve, Detail: "a peer without CURVE, or a probe, came to an address that asks for CURVE",
}

// takeEvent reads what a socket tells of a connection that failed.
func (g *guard) takeEvent(monitor *zmq.Socket, front string) error {
	event, address, value, err := monitor.RecvEvent(zmq.DONTWAIT)
	if err != nil {
		return err
	}
	denial := &access.Denial{Cause: access.Handshake, Detail: fmt.Sprintf("the CURVE handshake failed (%#x)", value)}
	switch {
	case event == zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL:
		denial = noCurve // such a peer may be gone before its greeting was read
	case event != zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL:
		return nil // the monitor itself has stopped
	case value == C.ZMQ_PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH:
		denial = noCurve
	case value == C.ZMQ_PROTOCOL_ERROR_ZMTP_CRYPTOGRAPHIC:
		denial.Detail = "the CURVE handshake failed: the peer does not know this gateway's public key"
	}
	g.options.Access.Deny(front, address, denial)
	return nil
}

// zapRequest is a request of RFC 27, without what nobody asks for.
type zapRequest struct {
	id, front, address, mechanism string
	credentials                   []string
}

// answer takes one request and says who it is, or that it is nobody.
func (g *guard) answer() error {
	parts, err := g.zap.RecvMessage(zmq.DONTWAIT)
	if err != nil {
		return err
	}
	reply := []string{"1.0", "", "500", "malformed request", "", ""}
	if len(parts) > 1 {
		reply[1] = parts[1]
	}
	if len(parts) >= 6 && parts[0] == "1.0" {
		name, properties, err := g.judge(zapRequest{parts[1], parts[2], parts[3], parts[5], parts[6:]})
		if err != nil {
			reply[2], reply[3] = "400", "not authorized"
		} else {
			reply[2], reply[3], reply[4], reply[5] = "200", "OK", name, properties
		}
	}
	_, err = g.zap.SendMessage(reply)
	return err
}

// judge returns the name and the properties of a connection that is let in. One
// that is not is told of.
func (g *guard) judge(r zapRequest) (name, properties string, err error) {
	if r.front == plainDomain && r.mechanism == "NULL" {
		return "", "", nil
	}
	if r.mechanism != "CURVE" || r.front == plainDomain || len(r.credentials) != 1 {
		denial := &access.Denial{Cause: access.NoCurve, Detail: fmt.Sprintf("the mechanism %q is not taken", r.mechanism)}
		g.options.Access.Deny(r.front, r.address, denial)
		return "", "", denial
	}
	var key access.CurveKey
	copy(key[:], r.credentials[0])
	principal, err := g.options.Access.Key(key)
	if err != nil {
		if denial, ok := errors.AsType[*access.Denial](err); ok {
			g.options.Access.Deny(r.front, r.address, denial)
		}
		return "", "", err
	}
	return principal.Name(), property(keyProperty, g.options.disconnectToken+key.String()), nil
}

// property is a property in ZMTP's encoding.
func property(name, value string) string {
	encoded := append([]byte{byte(len(name))}, name...)
	encoded = binary.BigEndian.AppendUint32(encoded, uint32(len(value)))
	return string(append(encoded, value...))
}

// recognize says who has sent a message, by what libzmq knows of its connection,
// and what that peer may do: everything where no address asks for CURVE.
func (o *Options) recognize(property func(name string) string) (name string, grant rights.Grant) {
	if o.CurveKey == "" {
		return "", nil
	}
	shown := property(keyProperty)
	if shown == "" && o.PlainLocal {
		return "", nil
	}
	text, ours := strings.CutPrefix(shown, o.disconnectToken)
	key, err := access.ParseCurveKey(text)
	if !ours || err != nil {
		return "", nothing{}
	}
	principal, err := o.Access.Key(key)
	if err != nil { // was withdrawn since the connection was made
		return property("User-Id"), nothing{}
	}
	return principal.Name(), principal
}

// nothing is a grant of no rights.
type nothing struct{}

// Rights implements rights.Grant.
func (nothing) Rights() rights.Rights { return rights.Rights{} }
