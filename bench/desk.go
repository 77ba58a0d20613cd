package main

import (
	"context"
	"fmt"
	"io"
	"sync"

	"google.golang.org/grpc"

	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// desk is a listener that passes the gateway's offers on to the giver.
type desk struct {
	conn   *grpc.ClientConn
	cancel context.CancelFunc
	reader sync.WaitGroup

	mu     sync.Mutex
	orders io.Writer // guarded by mu; the giver's
	err    error     // guarded by mu; why the desk has closed
}

func openDesk(address string, token bearer) (*desk, error) {
	conn, err := grpc.NewClient(address,
		grpc.WithTransportCredentials(clientSecurity), grpc.WithPerRPCCredentials(token))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	d := &desk{conn: conn, cancel: cancel}
	stream, err := gatewayv1.NewHandlerServiceClient(conn).Listen(ctx, &gatewayv1.ListenRequest{Name: "bench"})
	if err == nil {
		_, err = stream.Recv() // listening
	}
	if err != nil {
		d.close()
		return nil, fmt.Errorf("listen: %w", err)
	}
	d.reader.Go(func() { d.read(stream) })
	return d, nil
}

func (d *desk) read(stream gatewayv1.HandlerService_ListenClient) {
	for {
		answer, err := stream.Recv()
		if err == nil {
			if offer := answer.GetOffer(); offer != nil {
				err = d.pass(offer)
			}
		}
		if err != nil {
			d.mu.Lock()
			d.err = err
			d.mu.Unlock()
			return
		}
	}
}

func (d *desk) pass(offer *gatewayv1.Offer) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, err := fmt.Fprintf(d.orders, "%d %d\n", offer.GetBot().GetOrigin(), offer.GetCid())
	return err
}

// serve passes what is offered from now on to a giver.
func (d *desk) serve(orders io.Writer) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.orders = orders
	return d.err
}

func (d *desk) close() {
	d.cancel()
	_ = d.conn.Close() // a listener owes nothing
	d.reader.Wait()
}
