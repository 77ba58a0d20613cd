//go:build soak

package soak

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// desk is a listener that takes the flows whose BOT has the attribute `pair`,
// and hands their cids to whoever waits for them.
type desk struct {
	gateway *gateway
	mu      sync.Mutex
	waiting map[uint64]chan uint64 // guarded by mu; by pair
}

// lastPair numbers the pairs of flow sides in this process.
var lastPair atomic.Uint64

// pairAttribute is the part of a BOT's label that brings it to the desk.
func pairAttribute(pair uint64) string { return fmt.Sprintf(`,"pair":"%d"`, pair) }

func openDesk(t *testing.T, g *gateway) *desk {
	t.Helper()
	conn, err := connect(g.addresses[viaGRPC])
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	stream, err := gatewayv1.NewHandlerServiceClient(conn).Listen(ctx,
		&gatewayv1.ListenRequest{Name: "desk", Match: `attributes.pair != ""`})
	if err == nil {
		_, err = stream.Recv()
	}
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	d := &desk{gateway: g, waiting: map[uint64]chan uint64{}}
	var reader sync.WaitGroup
	reader.Go(func() {
		for {
			event, err := stream.Recv()
			if err != nil {
				return
			}
			if offer := event.GetOffer(); offer != nil {
				d.hand(offer)
			}
		}
	})
	t.Cleanup(func() {
		cancel()
		reader.Wait()
		_ = conn.Close()
	})
	return d
}

func (d *desk) hand(offer *gatewayv1.Offer) {
	var label struct {
		Pair uint64 `json:"pair,string"`
	}
	if json.Unmarshal([]byte(offer.GetBot().GetLabel()), &label) != nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if cid, ok := d.waiting[label.Pair]; ok {
		cid <- offer.GetCid()
		delete(d.waiting, label.Pair)
	}
}

// expect numbers a new pair, and promises the cid of its offer.
func (d *desk) expect() (pair uint64, cid <-chan uint64) {
	pair = lastPair.Add(1)
	promise := make(chan uint64, 1)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.waiting[pair] = promise
	return pair, promise
}

var errNoOffer = errors.New("no offer came")

func await(cid <-chan uint64) (uint64, error) {
	select {
	case c := <-cid:
		return c, nil
	case <-time.After(patience):
		return 0, errNoOffer
	}
}

// join opens a flow between two peers of this process.
func (d *desk) join(client, handler peer, clientGives bool, credit int64) (c, h *side, err error) {
	pair, offer := d.expect()
	c = &side{peer: client, pair: pair, gives: clientGives}
	h = &side{peer: handler, pair: pair, gives: !clientGives}
	if err := c.bot(credit, 0, pairAttribute(pair)); err != nil {
		return nil, nil, err
	}
	cid, err := await(offer)
	if err != nil {
		return nil, nil, err
	}
	if err := h.begin(credit, cid, ""); err != nil {
		return nil, nil, err
	}
	return c, h, c.settle(patience)
}
