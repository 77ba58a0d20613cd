// Package flowclient is a ZIO flow client over a native connection, as the
// gateway's own commands, tests and benchmarks need it. It does what ZIO's own
// clients do, in the same bytes.
package flowclient

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/zioflow/gateway/broker/zio"
)

// Conn carries ZIO messages to a gateway and back. One goroutine uses it at a time.
type Conn interface {
	// Send sends a message, whose bytes are not changed any more. It waits, while the
	// context lasts, for nothing but a connection and room.
	Send(context.Context, *zio.Message) error
	// Receive returns the next message. If none comes while the context lasts, it
	// returns the context's error. A message that is there already it returns even if
	// the context is over.
	Receive(context.Context) (*zio.Message, error)
}

// ErrTimeout is wrapped by errors of waits that took too long.
var ErrTimeout = errors.New("no message in time")

// Flow is one side of a flow on a native connection: as client, or as handler if
// its BOT has a cid. One goroutine uses it at a time.
type Flow struct {
	// Timeout bounds every wait for a message, and for sending one. Below 0 there is
	// no bound.
	Timeout time.Duration
	// Credit is the total agreed.
	Credit int64
	// Portion is how much credit a taker has to have back before it pays again; what it
	// has at first it pays at once. 0 is 1: a PAY for every DAT, as ZIO's own clients pay.
	Portion int64
	// Reply is the other side's BOT.
	Reply *zio.Message
	// Until ends every wait, for a message or for sending one, with its cause. The flow
	// stays as it was: with another one, or nil for none, it goes on.
	Until context.Context

	conn   Conn
	origin uint64
	seqno  uint64
	held   int64 // a giver's credit to spend, a taker's to pay
	over   bool  // EOT was received
	failed bool  // and named an error, so none is owed
}

// EndError is an EOT that came when the flow had not been given to its end.
type EndError struct {
	// Reason is the EOT's error attribute; empty if it had none.
	Reason string
	// Detail says the cause in words.
	Detail string
}

func (e *EndError) Error() string {
	if e.Reason == "" {
		return "the other side ended the flow"
	}
	return e.Reason + ": " + e.Detail
}

// Open sends a BOT with that label and payload, and waits for the answer.
func Open(c Conn, origin uint64, label []byte, payload [][]byte, timeout time.Duration) (*Flow, error) {
	return OpenUntil(context.Background(), c, origin, label, payload, timeout)
}

// OpenUntil is Open of a flow whose Until is given.
func OpenUntil(until context.Context, c Conn, origin uint64, label []byte, payload [][]byte, timeout time.Duration) (*Flow, error) {
	f := &Flow{Timeout: timeout, Until: until, conn: c, origin: origin}
	if err := f.send(label, payload); err != nil {
		return nil, err
	}
	m, head, err := f.receive(timeout)
	if err != nil {
		return nil, fmt.Errorf("waiting for BOT: %w", err)
	}
	if head.Type == zio.EOT {
		return nil, f.end(m)
	}
	bot, err := zio.ParseBot(m.Label)
	if err != nil {
		return nil, fmt.Errorf("answer to BOT: %w", err)
	}
	if head.Type != zio.BOT || bot.Credit.Value < 1 { // FLOW-4
		return nil, fmt.Errorf("answer to BOT is %s", m.Label)
	}
	f.Reply, f.Credit = m, bot.Credit.Value
	if bot.Direction == zio.Extract { // the other side gives, so this one pays
		f.held = f.Credit
	}
	return f, nil
}

// end takes note of an EOT; the error is an *EndError, with or without reason.
func (f *Flow) end(m *zio.Message) error {
	var end struct{ Error, Detail string }
	if err := json.Unmarshal(m.Label, &end); err != nil {
		return err
	}
	f.over, f.failed = true, end.Error != ""
	return &EndError{Reason: end.Error, Detail: end.Detail}
}

// Put gives one DAT, for which it waits for credit if need be.
func (f *Flow) Put(label []byte, payload [][]byte) error {
	for {
		wait := f.Timeout
		if f.held > 0 {
			wait = 0 // only look for PAYs and EOT
		}
		m, head, err := f.receive(wait)
		switch {
		case errors.Is(err, ErrTimeout) && f.held > 0:
			if err := f.send(label, payload); err != nil {
				return err
			}
			f.held--
			return nil
		case err != nil:
			return fmt.Errorf("waiting for PAY: %w", err)
		case head.Type == zio.EOT:
			return f.end(m)
		case head.Type == zio.PAY:
			f.held += head.Credit.Value
		default:
			return fmt.Errorf("giver was sent %s", m.Label)
		}
	}
}

// Get pays all the credit it has, once that is a Portion, and takes one DAT. At the
// giver's EOT it is io.EOF, or an *EndError if that names one.
func (f *Flow) Get() (*zio.Message, error) {
	if f.held >= min(max(1, f.Portion), f.Credit) {
		if err := f.Pay(f.held); err != nil {
			return nil, err
		}
	}
	m, head, err := f.receive(f.Timeout)
	switch {
	case err != nil:
		return nil, fmt.Errorf("waiting for DAT: %w", err)
	case head.Type == zio.DAT:
		f.held++
		return m, nil
	case head.Type == zio.EOT:
		if err := f.end(m); !f.over || f.failed {
			return nil, err
		}
		return nil, io.EOF
	default:
		return nil, fmt.Errorf("taker was sent %s", m.Label)
	}
}

// Pay pays that much. A taker that calls Get need not.
func (f *Flow) Pay(credit int64) error {
	label, err := zio.Supply(nil, zio.PAY, credit)
	if err != nil {
		return err
	}
	if err := f.send(label, nil); err != nil {
		return err
	}
	f.held -= credit
	return nil
}

// Close says EOT, unless the other side's error has ended the flow, and waits
// for the other side's; what comes before that is discarded.
func (f *Flow) Close() error {
	if f.failed {
		return nil
	}
	if err := f.send([]byte(`{"flow":"EOT"}`), nil); err != nil {
		return err
	}
	for !f.over {
		m, head, err := f.receive(f.Timeout)
		if err != nil {
			return fmt.Errorf("waiting for EOT: %w", err)
		}
		if head.Type == zio.EOT {
			if err := f.end(m); !f.over || f.failed {
				return err
			}
		}
	}
	return nil
}

func (f *Flow) send(label []byte, payload [][]byte) error {
	m := &zio.Message{
		Form: zio.FormFlow, Label: label, Payload: payload,
		Coord: zio.Coord{Origin: f.origin, Granule: uint64(time.Now().UnixMicro()), Seqno: f.seqno},
	}
	err := f.conn.Send(past, m)
	if errors.Is(err, past.Err()) { // there is a need to wait
		err = f.within(f.Timeout, func(ctx context.Context) error { return f.conn.Send(ctx, m) })
	}
	if err == nil {
		f.seqno++
	}
	return err
}

func (f *Flow) receive(timeout time.Duration) (m *zio.Message, head zio.Head, err error) {
	m, err = f.conn.Receive(past)
	if errors.Is(err, past.Err()) {
		err = f.within(timeout, func(ctx context.Context) (err error) {
			m, err = f.conn.Receive(ctx)
			return err
		})
	}
	if err != nil {
		return nil, zio.Head{}, err
	}
	head, err = zio.Peek(m.Label)
	return m, head, err
}

// past is a context that is over: what it is given to does not wait.
var past = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// within has a function wait for as long as the timeout says.
func (f *Flow) within(timeout time.Duration, wait func(context.Context) error) error {
	ctx := context.Background()
	if f.Until != nil {
		ctx = f.Until
	}
	switch {
	case timeout == 0:
		return ErrTimeout
	case timeout > 0:
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	err := wait(ctx)
	switch {
	case err == nil || !errors.Is(err, ctx.Err()):
		return err
	case f.Until != nil && f.Until.Err() != nil:
		return context.Cause(f.Until)
	case err == ctx.Err(): //nolint:errorlint // one that is wrapped has more to say
		return ErrTimeout
	default:
		return fmt.Errorf("%w: %w", ErrTimeout, err)
	}
}
