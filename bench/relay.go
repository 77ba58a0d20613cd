package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// transport is what a peer speaks.
type transport string

const (
	native  transport = "native"
	viaGRPC transport = "grpc"
)

// relay is what stands between giver and taker.
type relay struct {
	*server
	kind      string // in the load generators' words
	addresses map[transport]string
	desk      *desk // nil for a baseline
}

// setUp is a gateway and the two baselines, started afresh.
type setUp struct {
	programs  *programs
	gateway   *relay
	baselines map[transport]*relay
}

func startAll(p *programs) (_ *setUp, err error) {
	s := &setUp{programs: p, baselines: map[transport]*relay{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.stop())
		}
	}()
	if s.gateway, err = startGateway(p); err != nil {
		return s, err
	}
	for _, b := range []struct {
		via       transport
		arguments []string
	}{{native, []string{"tcp://127.0.0.1:0"}}, {viaGRPC, nil}} {
		process, address, err := startServer(p.relays[b.via], b.arguments...)
		if err != nil {
			return s, err
		}
		s.baselines[b.via] = &relay{server: process, kind: "relay", addresses: map[transport]string{b.via: address}}
	}
	return s, nil
}

func (s *setUp) stop() error {
	var errs []error
	if s.gateway != nil {
		if s.gateway.desk != nil {
			s.gateway.desk.close()
		}
		errs = append(errs, s.gateway.stop())
	}
	for _, b := range s.baselines {
		errs = append(errs, b.stop())
	}
	return errors.Join(errs...)
}

// gatewayFlags leave a gateway as users have it, but for its addresses and what
// keeps a slow machine from failing: how many flows may wait, and how long.
var gatewayFlags = []string{
	"serve", "--zmq-server=tcp://127.0.0.1:0", "--zmq-router=none", "--grpc=127.0.0.1:0", "--http=127.0.0.1:0",
	"--max-pending=20000", "--pending-timeout=1m", "--log-level=error",
}

func startGateway(p *programs) (_ *relay, err error) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	file := filepath.Join(dir, "ready.json")
	process, _, err := startServer(p.gateway, append(gatewayFlags, "--ready-file="+file)...)
	if err != nil {
		return nil, err
	}
	r := &relay{server: process, kind: "gateway"}
	if err := r.attach(file); err != nil {
		return nil, errors.Join(err, process.stop())
	}
	return r, nil
}

func (r *relay) attach(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var bound struct {
		ZMQServer  []string `json:"zmq_server"`
		GRPC, HTTP string
	}
	if err := json.Unmarshal(text, &bound); err != nil {
		return err
	}
	r.http = bound.HTTP
	r.addresses = map[transport]string{native: bound.ZMQServer[0], viaGRPC: bound.GRPC}
	r.desk, err = openDesk(bound.GRPC)
	return err
}

// desk is a listener that passes the gateway's offers on to the giver.
type desk struct {
	conn   *grpc.ClientConn
	cancel context.CancelFunc
	reader sync.WaitGroup

	mu     sync.Mutex
	orders io.Writer // guarded by mu; the giver's
	err    error     // guarded by mu; why the desk has closed
}

func openDesk(address string) (*desk, error) {
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
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
