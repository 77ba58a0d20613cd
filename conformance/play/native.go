package play

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/zioflow/gateway/broker/zio"
	"github.com/zioflow/gateway/internal/script"
	"github.com/zioflow/gateway/zmqbridge/dial"
	"github.com/zioflow/gateway/zmtp"
)

// Native is a CLIENT or DEALER socket. One goroutine uses it at a time.
type Native interface {
	// Send sends a message in the socket's form.
	Send(*zio.Message) error
	// SendRaw sends parts as they are; a CLIENT only one.
	SendRaw(parts ...[]byte) error
	// Receive returns the next message, or an error if none comes in time.
	Receive(timeout time.Duration) (*zio.Message, error)
	// Close breaks the connection off.
	Close() error
}

// peer is a peer that says what a script tells it to say, sense or not.
type peer interface {
	// send sends a message. A BOT begins a flow; a gRPC peer ignores the seqno.
	send(*zio.Message) error
	// raw sends parts that need not be a message.
	raw(parts [][]byte) error
	// recv returns the next message.
	recv() (*Message, error)
	// shut closes the sending half.
	shut() error
	// quiet checks that nothing follows what was received. It may be called when the peer
	// has no flow; its latest one ended for one of the reasons.
	quiet(reasons []string) error
	// leave breaks the connection off: what a killed process would do.
	leave()
}

// nativePeer is a peer on a socket.
type nativePeer struct {
	Native
	target *Target
	via    Transport
}

func (p *nativePeer) send(m *zio.Message) error { return p.Send(m) }

func (p *nativePeer) raw(parts [][]byte) error { return p.SendRaw(parts...) }

func (p *nativePeer) shut() error { return errors.New("a native socket has no sending half") }

func (p *nativePeer) leave() { _ = p.Close() }

func (p *nativePeer) recv() (*Message, error) {
	m, err := p.Receive(p.target.Patience)
	if err != nil {
		return nil, err
	}
	return NewMessage(m)
}

// probe has the broker refuse a BOT.
func (p *nativePeer) probe() (*Message, error) {
	bot := &zio.Message{Form: zio.FormFlow, Label: []byte(`{"flow":"BOT","direction":"neither"}`)}
	bot.Granule = uint64(time.Now().UnixMicro())
	if err := p.send(bot); err != nil {
		return nil, err
	}
	m, err := p.recv()
	if err == nil && (m.Type != zio.EOT || m.End.Reason == "") {
		err = fmt.Errorf("came %s seqno %d", m.Label, m.Seqno)
	}
	return m, err
}

// quiet has the broker refuse a BOT: whatever else the peer was sent would come before
// that.
func (p *nativePeer) quiet([]string) error {
	want, err := p.target.refused(p.via)
	if err != nil {
		return err
	}
	m, err := p.probe()
	if err == nil && (script.SameValue(m.Label, want) != nil || m.Seqno != 0) {
		err = fmt.Errorf("came %s seqno %d", m.Label, m.Seqno)
	}
	return err
}

// own is a socket of the gateway's own ZMTP.
type own struct {
	conn *dial.Conn
	kind zmtp.SocketType
}

// sending bounds the wait for room.
const sending = 10 * time.Second

func (o *own) Send(m *zio.Message) error {
	if o.kind == zmtp.Client {
		return o.SendRaw(m.AppendEncoded(make([]byte, 0, m.EncodedSize())))
	}
	return o.SendRaw(append([][]byte{nil, m.AppendPrefix(nil), m.AppendCoord(nil)}, m.Payload...)...)
}

func (o *own) SendRaw(parts ...[]byte) error {
	ctx, cancel := context.WithTimeout(context.Background(), sending)
	defer cancel()
	err := o.conn.SendParts(ctx, parts...)
	if err == nil {
		err = o.conn.Flush(ctx) // a peer that leaves at once has sent it
	}
	return err
}

func (o *own) Receive(timeout time.Duration) (*zio.Message, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	m, err := o.conn.Receive(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("%w within %v", errNone, timeout)
	}
	return m, err
}

func (o *own) Close() error { return o.conn.Close(0) }
