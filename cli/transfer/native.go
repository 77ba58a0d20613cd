package transfer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/zioflow/gateway/broker/zio"
	"github.com/zioflow/gateway/cli/exit"
	zioflow "github.com/zioflow/gateway/clients/go"
	"github.com/zioflow/gateway/internal/flowclient"
	"github.com/zioflow/gateway/zmqbridge/dial"
	"github.com/zioflow/gateway/zmtp"
)

// nativeFlow is a flow over ZeroMQ.
type nativeFlow struct {
	flow *flowclient.Flow
	conn *dial.Conn
}

// lastWords is how long leaving may take.
const lastWords = 2 * time.Second

func (t *terms) openNative(ctx context.Context, kind zmtp.SocketType, address string, cid uint64, direction zio.Direction, attributes map[string]any) (flow, error) {
	text, err := json.Marshal(attributes)
	if err != nil {
		return nil, err
	}
	if text, err = zio.Edit(text, zio.Member{Key: "flow", Value: []byte(`"BOT"`)}); err != nil {
		return nil, err
	}
	label, err := zio.RewriteBot(text, direction, t.Credit, cid)
	if err != nil {
		return nil, err
	}
	conn, err := t.dialNative(ctx, kind, address)
	if err != nil {
		return nil, err
	}
	f, err := flowclient.OpenUntil(ctx, conn, 0, label, nil, t.Timeout)
	if errors.Is(err, flowclient.ErrTimeout) {
		err = fmt.Errorf("%s: %w: nothing has come within %v", address, err, t.Timeout)
	}
	if err != nil {
		return nil, errors.Join(new(nativeFlow).over(err), conn.Close(0))
	}
	f.Portion = f.Credit / payIn
	return &nativeFlow{f, conn}, nil
}

// payIn is in how many portions a taker pays its credit: few enough that PAYs cost little
// beside small DATs, and so many that its giver never has to wait for one.
const payIn = 4

// dialNative connects. An error says which option it may be about.
func (c *connection) dialNative(ctx context.Context, kind zmtp.SocketType, address string) (*dial.Conn, error) {
	if err := checkZeroMQ(address); err != nil {
		return nil, exit.With(exit.Usage, err)
	}
	o := dial.DefaultOptions(address, kind)
	var err error
	if o.Curve, err = c.curve(); err != nil {
		return nil, exit.With(exit.Usage, err)
	}
	o.MaxMessage = maxMessage
	if c.Timeout > 0 {
		o.Connect, o.Handshake = min(o.Connect, c.Timeout), min(o.Handshake, c.Timeout)
	}
	o.HeartbeatTimeout, o.Stall = max(o.HeartbeatTimeout, c.Timeout), max(o.Stall, c.Timeout)
	conn, err := dial.Dial(ctx, o)
	if fault, ok := errors.AsType[*dial.Error](err); ok {
		return nil, fmt.Errorf("%w; %s", fault, c.advice(fault))
	}
	if err != nil && ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return conn, err
}

// advice is what to look at when there is no connection.
func (c *connection) advice(fault *dial.Error) string {
	other := map[string]string{"zmq-server": "zmq-router", "zmq-router": "zmq-server"}[c.Via]
	switch secure := c.CurveServer != ""; {
	case fault.Cause == dial.Foreign && strings.Contains(fault.Detail, "gRPC"):
		return "--via grpc is for the gateway's gRPC address"
	case fault.Cause == dial.Foreign && strings.Contains(fault.Detail, "HTTP"):
		return "is it the gateway's --http, and not its --" + c.Via + "?"
	case wrongSocketType(fault):
		return fmt.Sprintf("the address may be for --via %s, not for --via %s", other, c.Via)
	case fault.Cause == dial.Mechanism && !secure:
		return "--curve-server and --curve-key say with which keys"
	case fault.Cause == dial.Mechanism:
		return "without --curve-server and --curve-key it may do"
	case fault.Cause == dial.Key, fault.Cause == dial.Refused && secure:
		return "--curve-server is to have the gateway's public key, --curve-key this side's secret one, whose public one the gateway has to know"
	case fault.Cause == dial.Left && secure:
		return "does the gateway ask for CURVE here, and are --curve-server and --curve-key the right keys?"
	case fault.Cause == dial.Left:
		return fmt.Sprintf("is this the gateway's --%s address, and does it ask for CURVE (--curve-server, --curve-key)?", c.Via)
	case fault.Cause == dial.Unreachable:
		return fmt.Sprintf("is the gateway running, and is this its --%s address?", c.Via)
	case fault.Cause == dial.Refused:
		return "the gateway's log says more"
	}
	return fmt.Sprintf("is this the gateway's --%s address?", c.Via)
}

func (f *nativeFlow) give(dat zioflow.Dat) error {
	label := dat.Label
	if len(label) == 0 {
		label = []byte(`{"flow":"DAT"}`)
	}
	return f.over(f.flow.Put(label, dat.Payload))
}

// over says an end of the flow as gRPC's client does.
func (f *nativeFlow) over(err error) error {
	end, told := errors.AsType[*flowclient.EndError](err)
	switch {
	case !told:
		return err
	case end.Reason == "":
		return zioflow.ErrTakerEnded
	}
	return fmt.Errorf("flow ended: %w", end)
}

func (f *nativeFlow) take() (zioflow.Dat, error) {
	m, err := f.flow.Get()
	if err != nil {
		return zioflow.Dat{}, f.over(err)
	}
	dat := zioflow.Dat{
		Label: m.Label, Payload: make([][]byte, m.Parts()),
		Origin: m.Origin, Granule: m.Granule, Seqno: m.Seqno, Level: m.Level,
	}
	for i := range dat.Payload {
		if part := m.Part(i); len(part) == 1 {
			dat.Payload[i] = part[0]
		} else {
			dat.Payload[i] = part.AppendTo(nil)
		}
	}
	return dat, nil
}

func (f *nativeFlow) end() error {
	f.flow.Until = nil
	return errors.Join(f.over(f.flow.Close()), f.conn.Close(lastWords))
}

func (f *nativeFlow) leave() { _ = f.conn.Close(0) }
