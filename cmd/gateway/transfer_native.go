package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/zioflow/gateway/broker/zio"
	"github.com/zioflow/gateway/internal/flowclient"
	"github.com/zioflow/gateway/zmqbridge/dial"
	"github.com/zioflow/gateway/zmtp"
)

// nativeTransfer is a transfer over ZeroMQ.
type nativeTransfer struct {
	flow *flowclient.Flow
	conn *dial.Conn
}

// lastWords is how long leaving may take.
const lastWords = 2 * time.Second

func openNative(c *transferFlags, kind zmtp.SocketType, address string, direction zio.Direction, attributes map[string]any) (transfer, error) {
	text, err := json.Marshal(attributes)
	if err != nil {
		return nil, err
	}
	if text, err = zio.Edit(text, zio.Member{Key: "flow", Value: []byte(`"BOT"`)}); err != nil {
		return nil, err
	}
	label, err := zio.RewriteBot(text, direction, c.Credit, c.CID)
	if err != nil {
		return nil, err
	}
	conn, err := c.dialNative(kind, address)
	if err != nil {
		return nil, err
	}
	f, err := flowclient.Open(conn, 0, label, nil, c.Timeout)
	if errors.Is(err, flowclient.ErrTimeout) {
		err = fmt.Errorf("%s: %w: nothing has come within %v", address, err, c.Timeout)
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close(0))
	}
	f.Portion = f.Credit / payIn
	return &nativeTransfer{f, conn}, nil
}

// payIn is in how many portions a taker pays its credit: few enough that PAYs cost little
// beside small DATs, and so many that its giver never has to wait for one.
const payIn = 4

// dialNative connects. An error says which option it may be about.
func (c *transferFlags) dialNative(kind zmtp.SocketType, address string) (*dial.Conn, error) {
	o := dial.DefaultOptions(address, kind)
	var err error
	if o.Curve, err = c.curve(); err != nil {
		return nil, err
	}
	o.MaxMessage = 1 << 30 // the gateway has a limit of its own, which is as large as its operator wants
	if c.Timeout > 0 {
		o.Connect, o.Handshake = min(o.Connect, c.Timeout), min(o.Handshake, c.Timeout)
	}
	o.HeartbeatTimeout, o.Stall = max(o.HeartbeatTimeout, c.Timeout), max(o.Stall, c.Timeout)
	conn, err := dial.Dial(context.Background(), o)
	if fault, ok := errors.AsType[*dial.Error](err); ok {
		return nil, fmt.Errorf("%w; %s", fault, c.advice(fault))
	}
	return conn, err
}

// advice is what to look at when there is no connection.
func (c *transferFlags) advice(fault *dial.Error) string {
	other := map[string]string{"zmq-server": "zmq-router", "zmq-router": "zmq-server"}[c.Via]
	switch secure := c.CurveServer != ""; {
	case fault.Cause == dial.Foreign && strings.Contains(fault.Detail, "gRPC"):
		return "--via grpc is for the gateway's gRPC address"
	case fault.Cause == dial.SocketType, fault.Cause == dial.Refused && strings.Contains(fault.Detail, "socket type"):
		return fmt.Sprintf("the address may be for --via %s, not for --via %s", other, c.Via)
	case fault.Cause == dial.Mechanism && !secure:
		return "--curve-server and --curve-key say with which keys"
	case fault.Cause == dial.Mechanism:
		return "without --curve-server and --curve-key it may do"
	case fault.Cause == dial.Key, fault.Cause == dial.Refused && secure:
		return "the keys are those of --curve-server and --curve-key"
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

func (t *nativeTransfer) give(payload []byte) error {
	return t.flow.Put([]byte(`{"flow":"DAT"}`), [][]byte{payload})
}

func (t *nativeTransfer) take() (int, error) {
	m, err := t.flow.Get()
	if err != nil {
		return 0, err
	}
	return m.Size(), nil
}

func (t *nativeTransfer) close() error {
	return errors.Join(t.flow.Close(), t.conn.Close(lastWords))
}
