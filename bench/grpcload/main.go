// Command grpcload is a load generator of gRPC peers: what native/load.c is of
// native ones, with the same arguments, orders and output.
//
// It uses grpc-go as generated code does, but has its DATs encoded beforehand
// and looks only at the head of those that come, so that it costs little.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/zioflow/gateway/bench/generator"
)

const (
	// maxMessage is larger than any message of a benchmark.
	maxMessage = 64<<20 + 64<<10
	// maxConnections is how many connections the flows share.
	maxConnections = 10
)

// run is what all flows share.
type run struct {
	*generator.Meter
	opening chan struct{}  // holds a token for each flow that is being opened the first time
	opened  sync.WaitGroup // flows that are not yet open
	gone    chan struct{}  // closed when the driver wants data
}

// begun reports that a flow is open for the first time.
func (r *run) begun() {
	<-r.opening
	r.opened.Done()
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("grpcload: ")
	debug.SetGCPercent(400) // the generator's own cost is not what is measured
	s, err := generator.Parse(os.Args[1:])
	if err == nil {
		err = play(context.Background(), s)
	}
	if err != nil {
		log.Fatal(err)
	}
}

// play opens all flows, and returns when all of them are over.
func play(ctx context.Context, s *generator.Spec) error {
	r := &run{Meter: generator.NewMeter(s.Total()), gone: make(chan struct{}), opening: make(chan struct{}, window(s))}
	r.opened.Add(s.Flows)
	secure, err := security()
	if err != nil {
		return err
	}
	conns := make([]*grpc.ClientConn, min(s.Flows, maxConnections))
	for i := range conns {
		conn, err := grpc.NewClient(s.Address, grpc.WithTransportCredentials(secure),
			grpc.WithDefaultCallOptions(grpc.ForceCodecV2(codec{}),
				grpc.MaxCallRecvMsgSize(maxMessage), grpc.MaxCallSendMsgSize(maxMessage)))
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close() }()
		conns[i] = conn
	}
	flows := make([]*flow, s.Flows)
	for i := range flows {
		flows[i] = &flow{spec: s, run: r, pair: uint64(i), conn: conns[i%len(conns)], cids: make(chan uint64, 1)}
	}
	if s.Gives {
		go r.obey(flows)
		go func() {
			r.opened.Wait()
			fmt.Println("open")
		}()
	}
	playing, ctx := errgroup.WithContext(ctx)
	for _, f := range flows {
		select {
		case r.opening <- struct{}{}:
			playing.Go(func() error { return f.play(ctx) })
		case <-ctx.Done(): // one has failed
			return playing.Wait()
		}
	}
	if err := playing.Wait(); err != nil || s.Gives {
		return err
	}
	samples := make([][]time.Duration, len(flows))
	for i, f := range flows {
		samples[i] = f.samples
	}
	return r.Report(os.Stdout, samples...)
}

// security is clear text, unless the environment names the authority of a gateway that speaks
// TLS.
func security() (credentials.TransportCredentials, error) {
	if file := os.Getenv("GRPCLOAD_CA"); file != "" {
		return credentials.NewClientTLSFromFile(file, "")
	}
	return insecure.NewCredentials(), nil
}

// window is how many flows may be begun and not yet open. A handler opens those
// that the driver names, of which there are no more than the client's.
func window(s *generator.Spec) int {
	if s.Gives && s.Gateway {
		return s.Flows
	}
	return generator.Window
}

// obey reads the driver's orders until there are no more.
func (r *run) obey(flows []*flow) {
	err := generator.Obey(os.Stdin, len(flows),
		func(i int, cid uint64) error { flows[i].cids <- cid; return nil },
		func() error { close(r.gone); return nil })
	if err != nil {
		log.Fatal(err)
	}
}
