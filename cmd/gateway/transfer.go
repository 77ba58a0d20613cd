package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/zio"
	"github.com/zioflow/gateway/zmtp"
)

// transferFlags say how to reach a gateway, and what to ask of it.
type transferFlags struct {
	Via         string        `default:"grpc" enum:"grpc,zmq-server,zmq-router" help:"grpc, zmq-server (as a CLIENT socket) or zmq-router (as a DEALER)."`
	Address     string        `help:"Where the gateway is; by default, where it serves by default." placeholder:"ADDRESS"`
	Credit      int64         `default:"10" help:"How many messages may be under way."`
	CID         uint64        `name:"cid" help:"Accept the offer that has this cid, as its handler. By default, the one of the flow for which a route has started this command."`
	Timeout     time.Duration `default:"30s" help:"How long to wait for any one message."`
	secureFlags `embed:""`

	Attributes []string `arg:"" optional:"" help:"Attributes of the flow, as NAME=VALUE. A VALUE that is JSON is taken as such."`
}

// getCommand takes a flow and counts what comes.
type getCommand struct {
	transferFlags
}

// putCommand gives a flow of test data.
type putCommand struct {
	transferFlags
	Count uint64 `default:"10" help:"How many messages to give."`
	Size  int    `default:"64" help:"The payload of each, in bytes."`
}

// Run prints what came to standard output.
func (c *getCommand) Run() error {
	f, err := c.open(zio.Inject)
	if err != nil {
		return err
	}
	begin := time.Now()
	var got broker.Count
	for {
		size, err := f.take()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err // leaving is all the good-bye that is left
		}
		got.Messages++
		got.Bytes += uint64(size)
	}
	if err := f.close(); err != nil {
		return err
	}
	c.report("took", got, time.Since(begin))
	return nil
}

// Run prints what was given to standard output.
func (c *putCommand) Run() error {
	f, err := c.open(zio.Extract)
	if err != nil {
		return err
	}
	begin := time.Now()
	payload := make([]byte, c.Size)
	for range c.Count {
		if err := f.give(payload); err != nil {
			return err
		}
	}
	if err := f.close(); err != nil {
		return err
	}
	c.report("gave", broker.Count{Messages: c.Count, Bytes: c.Count * uint64(c.Size)}, time.Since(begin))
	return nil
}

func (c *transferFlags) report(did string, data broker.Count, took time.Duration) {
	seconds := max(took.Seconds(), 1e-9)
	fmt.Printf("%-10s %s %d messages, %d bytes, in %v (%.0f/s, %.1f MB/s)\n", c.Via, did, data.Messages, data.Bytes,
		took.Round(time.Millisecond), float64(data.Messages)/seconds, float64(data.Bytes)/seconds/1e6)
}

// transfer is a flow as the commands see it, on whatever transport.
type transfer interface {
	// give sends one DAT, when there is credit for it.
	give(payload []byte) error
	// take returns the payload bytes of the next DAT; io.EOF at the end.
	take() (int, error)
	// close ends the flow and leaves; an error if it did not complete.
	close() error
}

func (c *transferFlags) open(direction zio.Direction) (transfer, error) {
	attributes, err := c.parseAttributes()
	if err != nil {
		return nil, err
	}
	switch c.Via {
	case "zmq-server":
		return openNative(c, zmtp.Client, c.address("ZIO_GATEWAY_ZMQ_SERVER", "tcp://127.0.0.1:5555"), direction, attributes)
	case "zmq-router":
		return openNative(c, zmtp.Dealer, c.address("ZIO_GATEWAY_ZMQ_ROUTER", "tcp://127.0.0.1:5556"), direction, attributes)
	default:
		return openGRPC(c, c.address("ZIO_GATEWAY_GRPC", "127.0.0.1:7575"), direction, attributes)
	}
}

// address is where the gateway is: by default, for a handler, where the gateway
// that started it has said.
func (c *transferFlags) address(variable, otherwise string) string {
	if c.CID == 0 {
		return cmp.Or(c.Address, otherwise)
	}
	return cmp.Or(c.Address, os.Getenv(variable), otherwise)
}

// parseAttributes reads NAME=VALUE words.
func (c *transferFlags) parseAttributes() (map[string]any, error) {
	attributes := map[string]any{}
	for _, word := range c.Attributes {
		name, text, found := strings.Cut(word, "=")
		if !found || name == "" {
			return nil, fmt.Errorf("attribute %q is not of the form NAME=VALUE", word)
		}
		var value any
		if err := json.Unmarshal([]byte(text), &value); err != nil {
			value = text
		}
		attributes[name] = value
	}
	return attributes, nil
}
