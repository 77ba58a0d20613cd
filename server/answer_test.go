package server_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/zioflow/gateway/broker/listeners"
	"github.com/zioflow/gateway/broker/routing"
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/broker/zio"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// TestAnswersAreHeldUntilTaken: the payload of a handler's BOT is charged for as long as
// the gateway, or gRPC, holds it for a client that does not read; whatever the call.
func TestAnswersAreHeldUntilTaken(t *testing.T) {
	t.Parallel()
	const size = 3 << 20
	for name, open := range map[string]struct {
		direction string // the handler's
		call      func(*testing.T, *front) (read func() (payload [][]byte, err error))
	}{
		"Open": {"inject", func(t *testing.T, f *front) func() ([][]byte, error) {
			stream := f.open(t, &gatewayv1.OpenRequest{Message: &gatewayv1.OpenRequest_Bot{Bot: answeredBot(gatewayv1.Direction_DIRECTION_EXTRACT)}})
			return func() ([][]byte, error) {
				r, err := stream.Recv()
				return r.GetBot().GetPayload(), err
			}
		}},
		"Get": {"extract", func(t *testing.T, f *front) func() ([][]byte, error) {
			stream, err := f.flows.Get(f.ctx, &gatewayv1.GetRequest{Bot: answeredBot(gatewayv1.Direction_DIRECTION_UNSPECIFIED)})
			if err != nil {
				t.Fatal(err)
			}
			return func() ([][]byte, error) {
				r, err := stream.Recv()
				return r.GetBot().GetPayload(), err
			}
		}},
		"Put": {"inject", func(t *testing.T, f *front) func() ([][]byte, error) {
			stream, err := f.flows.Put(f.ctx)
			if err != nil {
				t.Fatal(err)
			}
			if err := stream.Send(&gatewayv1.PutRequest{Message: &gatewayv1.PutRequest_Bot{Bot: answeredBot(gatewayv1.Direction_DIRECTION_UNSPECIFIED)}}); err != nil {
				t.Fatal(err)
			}
			return func() ([][]byte, error) {
				r, err := stream.CloseAndRecv()
				return r.GetBot().GetPayload(), err
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := start(t, nil)
			offers := make(cids, 1)
			if _, err := f.broker.Listen(listeners.Spec{Name: "answers", Sink: offers}); err != nil {
				t.Fatal(err)
			}
			if _, err := f.broker.AddRoute(routing.Route{Name: "first", Priority: 1, Factory: listeners.ToListeners{Name: "answers"}}); err != nil {
				t.Fatal(err)
			}
			read := open.call(t, f)
			handler := f.broker.Attach(mute{}, transport.PeerInfo{Transport: "fake"})
			say := func(label string, payload ...[]byte) {
				handler.Receive(&zio.Message{Form: zio.FormFlow, Label: []byte(label), Payload: payload})
			}
			say(fmt.Sprintf(`{"flow":"BOT","direction":"%s","credit":4,"cid":%d}`, open.direction, <-offers), make([]byte, size))
			// It has time to be handed to gRPC, which is to be seen by the account alone.
			for deadline := time.Now().Add(200 * time.Millisecond); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
				if held := f.broker.Held(); held < size {
					t.Fatalf("%d bytes are held while nobody has read %d", held, size)
				}
			}
			if name == "Put" {
				say(`{"flow":"EOT"}`)
			}
			payload, err := read()
			if err != nil || len(payload) != 1 || len(payload[0]) != size {
				t.Errorf("the answer has %d parts, %v", len(payload), err)
			}
			for f.broker.Held() > 0 {
				if f.ctx.Err() != nil {
					t.Fatalf("%d bytes are still held", f.broker.Held())
				}
				time.Sleep(time.Millisecond)
			}
		})
	}
}

func answeredBot(d gatewayv1.Direction) *gatewayv1.Bot {
	return &gatewayv1.Bot{Direction: d, Credit: 4}
}
