package transfer

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/zioflow/gateway/broker/zio"
	"github.com/zioflow/gateway/cli/contexts"
	"github.com/zioflow/gateway/cli/remote"
	zioflow "github.com/zioflow/gateway/clients/go"
	"github.com/zioflow/gateway/zmtp"
)

// connection says how to reach a gateway.
type connection struct {
	Via     string        `default:"grpc" enum:"grpc,zmq-server,zmq-router" help:"grpc, zmq-server (as a CLIENT socket) or zmq-router (as a DEALER)."`
	Context string        `help:"The named gateway to talk to over gRPC, see gateway context; by default the one in use." placeholder:"NAME"`
	Address string        `help:"Where the gateway is; by default, where it serves by default." placeholder:"ADDRESS"`
	Timeout time.Duration `default:"30s" help:"How long to wait for any one message."`
	secure  `embed:""`
}

// terms are what a flow is opened with.
type terms struct {
	connection `embed:""`

	Credit int64  `default:"10" help:"How many messages may be under way."`
	CID    uint64 `name:"cid" help:"Accept the offer that has this cid, as its handler. By default, the one of the flow for which a route has started this command."`
	Match  string `help:"Be the handler of the next flow for which this CEL expression is true, such as 'attributes.stream == \"raw\"', instead of a client." placeholder:"CEL" env:"-"`
	GRPC   string `name:"grpc" help:"Where the gateway's gRPC is, for --match, if --via is another." placeholder:"ADDRESS"`
	JSON   bool   `name:"json" help:"Print what came of it as JSON." env:"-"`
}

// flow is one side of a flow, on whatever transport. One goroutine uses it.
type flow interface {
	// give sends one DAT, when there is credit for it. The DAT's memory is not changed
	// any more.
	give(zioflow.Dat) error
	// take returns the next DAT; io.EOF at the end.
	take() (zioflow.Dat, error)
	// end ends the flow in good order, early if it is not over, and leaves. The error says
	// why it did not complete.
	end() error
	// leave ends the flow at once: the other side is told that this one has gone.
	leave()
}

// open opens a flow in that direction, as a client or as a handler. When ctx ends, the
// flow stays as it is, to be ended; what waits returns its cause.
func (t *terms) open(ctx context.Context, direction zio.Direction, attributes map[string]any) (flow, error) {
	if t.Match != "" {
		return t.await(ctx, direction, attributes)
	}
	return t.openAs(ctx, t.CID, direction, attributes)
}

// openAs opens a flow as the handler of the offer with that cid, or as a client for 0.
func (t *terms) openAs(ctx context.Context, cid uint64, direction zio.Direction, attributes map[string]any) (flow, error) {
	switch t.Via {
	case "zmq-server":
		return t.openNative(ctx, zmtp.Client, t.address("ZIO_GATEWAY_ZMQ_SERVER", "tcp://127.0.0.1:5555"), cid, direction, attributes)
	case "zmq-router":
		return t.openNative(ctx, zmtp.Dealer, t.address("ZIO_GATEWAY_ZMQ_ROUTER", "tcp://127.0.0.1:5556"), cid, direction, attributes)
	default:
		return t.openGRPC(ctx, cid, direction, attributes)
	}
}

// address is where the gateway is: by default, for a handler, where the gateway
// that started it has said.
func (t *terms) address(variable, otherwise string) string {
	if t.CID == 0 {
		return cmp.Or(t.Address, otherwise)
	}
	return cmp.Or(t.Address, remote.First(os.Getenv(variable)), otherwise)
}

// named is the gateway that a context describes, or the default one, for who has not said
// by --address where it is.
func (t *terms) named() (contexts.Context, error) {
	if t.CID != 0 { // it was started by a gateway, which has said all
		return contexts.Context{Address: cmp.Or(t.Address, remote.First(os.Getenv("ZIO_GATEWAY_GRPC")), remote.DefaultAddress)}, nil
	}
	flags := remote.Flags{Context: t.Context, Address: t.Address}
	if t.Via != "grpc" {
		flags.Address = remote.First(t.GRPC)
	}
	return flags.Resolve()
}

// words are what stands on the command line without an option.
type words struct {
	attributes map[string]any
	others     []string // files, folders and "-"
}

// parse tells attributes, which have the form NAME=VALUE, from others. What begins as a
// path is none, whatever stands in it.
func parse(arguments []string) (words, error) {
	w := words{attributes: map[string]any{}}
	for _, word := range arguments {
		name, text, found := strings.Cut(word, "=")
		switch {
		case !found || isPath(word):
			w.others = append(w.others, word)
			continue
		case name == "":
			return w, fmt.Errorf("attribute %q is not of the form NAME=VALUE", word)
		}
		var value any
		if err := json.Unmarshal([]byte(text), &value); err != nil {
			value = text
		}
		w.attributes[name] = value
	}
	return w, nil
}

// isPath tells whether a word is a path by how it begins.
func isPath(word string) bool {
	for _, beginning := range []string{"/", "./", "../", `.\`, `..\`} {
		if strings.HasPrefix(word, beginning) {
			return true
		}
	}
	return false
}
