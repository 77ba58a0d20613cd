package play

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc"

	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// control is what the player has of the broker besides peers: a listener, to which flows
// are offered, and the list of flows. Two goroutines read from the broker until close.
type control struct {
	target   *Target
	conn     *grpc.ClientConn
	cancel   context.CancelFunc
	offers   chan *gatewayv1.Offer
	gone     chan *gatewayv1.Withdrawn
	begins   chan *gatewayv1.Flow
	ends     chan *gatewayv1.Flow
	watching bool
	before   uint64          // the latest flow before the scenario
	told     map[uint64]bool // the flows of which it was seen that they ended
	reading  chan struct{}   // takes a token of every reader that ends
	readers  int
}

// open begins to listen, unless the scenario is without listener, and to watch flows, as
// far as the broker lets the player.
func (t *Target) open(alone bool) (c *control, err error) {
	c = &control{
		target: t, cancel: func() {}, told: map[uint64]bool{}, reading: make(chan struct{}, 2),
		offers: make(chan *gatewayv1.Offer, 100), gone: make(chan *gatewayv1.Withdrawn, 100),
		begins: make(chan *gatewayv1.Flow, 1000), ends: make(chan *gatewayv1.Flow, 1000),
	}
	if t.GRPC == "" {
		return c, nil
	}
	if c.watching, err = t.Watched(); err != nil {
		return nil, err
	}
	if c.conn, err = t.connect(); err != nil {
		return nil, err
	}
	var ctx context.Context
	ctx, c.cancel = context.WithCancel(context.Background())
	slow := time.AfterFunc(t.Patience, c.cancel)
	defer slow.Stop()
	if c.watching {
		err = c.watch(ctx)
	}
	if err == nil && !alone {
		err = c.listen(ctx)
	}
	if err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// read has a goroutine call next until that fails.
func (c *control) read(next func() error) {
	c.readers++
	go func() {
		var err error
		for err == nil {
			err = next()
		}
		c.reading <- struct{}{}
	}()
}

func (c *control) watch(ctx context.Context) error {
	admin := gatewayv1.NewAdminServiceClient(c.conn)
	latest, err := admin.ListFlows(ctx, &gatewayv1.ListFlowsRequest{PageSize: 1})
	if err != nil {
		return err
	}
	for _, f := range latest.GetFlows() {
		c.before = f.GetId()
	}
	stream, err := admin.WatchFlows(ctx, &gatewayv1.WatchFlowsRequest{States: []gatewayv1.FlowState{
		gatewayv1.FlowState_FLOW_STATE_PENDING, gatewayv1.FlowState_FLOW_STATE_ENDED,
	}})
	if err == nil {
		_, err = stream.Header() // the watch has begun
	}
	if err != nil {
		return fmt.Errorf("WatchFlows: %w", err)
	}
	c.read(func() error {
		event, err := stream.Recv()
		switch f := event.GetFlow(); f.GetState() {
		case gatewayv1.FlowState_FLOW_STATE_PENDING:
			c.begins <- f
		case gatewayv1.FlowState_FLOW_STATE_ENDED:
			c.ends <- f
		}
		return err
	})
	return nil
}

func (c *control) listen(ctx context.Context) error {
	stream, err := gatewayv1.NewHandlerServiceClient(c.conn).Listen(ctx, &gatewayv1.ListenRequest{Name: "conformance"})
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	if first, err := stream.Recv(); err != nil || first.GetListening() == nil {
		return fmt.Errorf("listening: %w: the first response is %v, want listening", err, first)
	}
	aside := map[uint64]bool{} // offers that are no step's
	c.read(func() error {
		response, err := stream.Recv()
		if err != nil {
			return err
		}
		switch event := response.GetEvent().(type) {
		case *gatewayv1.ListenResponse_Offer:
			cid := event.Offer.GetCid()
			if kind := event.Offer.GetBot().GetAttributes().GetFields()["factory"].GetStringValue(); kind != "" {
				aside[cid] = true
				return c.fail(ctx, cid, kind)
			}
			c.offers <- event.Offer
		case *gatewayv1.ListenResponse_Withdrawn:
			if !aside[event.Withdrawn.GetCid()] {
				c.gone <- event.Withdrawn
			}
		}
		return nil
	})
	return nil
}

// fail is what a faulty factory does, where the broker has none: one that fails or panics
// refuses, one that hangs does nothing.
func (c *control) fail(ctx context.Context, cid uint64, kind string) error {
	if kind == "hangs" {
		return nil
	}
	return c.decline(ctx, cid, "no input file")
}

func (c *control) decline(ctx context.Context, cid uint64, detail string) error {
	ctx, cancel := context.WithTimeout(ctx, c.target.Patience)
	defer cancel()
	_, err := gatewayv1.NewHandlerServiceClient(c.conn).Decline(ctx, &gatewayv1.DeclineRequest{Cid: cid, Detail: detail})
	return err
}

func (c *control) close() {
	c.cancel()
	if c.conn != nil {
		_ = c.conn.Close()
	}
	for range c.readers {
		<-c.reading
	}
}

// await waits for the next of what comes through a channel.
func await[T any](from <-chan T, patience time.Duration) (next T, err error) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case next = <-from:
	case <-timer.C:
		err = fmt.Errorf("nothing came within %v", patience)
	}
	return next, err
}

// settled checks that all flows of the scenario have ended, and that this was told of
// each.
func (c *control) settled() error {
	if !c.watching {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), c.target.Patience)
	defer cancel()
	page, err := gatewayv1.NewAdminServiceClient(c.conn).ListFlows(ctx, &gatewayv1.ListFlowsRequest{PageSize: 1000})
	if err != nil {
		return fmt.Errorf("ListFlows: %w", err)
	}
	for _, f := range page.GetFlows() {
		switch {
		case f.GetId() <= c.before || c.told[f.GetId()]:
		case f.GetState() != gatewayv1.FlowState_FLOW_STATE_ENDED:
			return fmt.Errorf("flow %d has not ended", f.GetId())
		default:
			return fmt.Errorf("flow %d ended %s (%s), which no step says", f.GetId(), reasonOf(f.GetReason()), f.GetDetail())
		}
	}
	return nil
}

// lastOffer has another flow offered, and refuses it: what else was offered would come
// before it.
func (c *control) lastOffer() error {
	ctx, cancel := context.WithTimeout(context.Background(), c.target.Patience)
	defer cancel()
	stream, err := gatewayv1.NewFlowServiceClient(c.conn).Open(ctx)
	if err != nil {
		return err
	}
	const label = `{"flow":"BOT","conformance":"last"}`
	if err := stream.Send(&gatewayv1.OpenRequest{Message: &gatewayv1.OpenRequest_Bot{Bot: &gatewayv1.Bot{
		Label: label, Direction: gatewayv1.Direction_DIRECTION_EXTRACT, Credit: 1,
	}}}); err != nil {
		return err
	}
	offer, err := await(c.offers, c.target.Patience)
	if err != nil {
		return fmt.Errorf("waiting for an offer: %w", err)
	}
	if offer.GetBot().GetAttributes().GetFields()["conformance"] == nil {
		return fmt.Errorf("there was another offer: %s", offer.GetBot().GetLabel())
	}
	if err := c.decline(ctx, offer.GetCid(), "that was all"); err != nil {
		return err
	}
	for err == nil { // until it has ended, and is not in the next scenario's way
		_, err = stream.Recv()
	}
	return nil
}
