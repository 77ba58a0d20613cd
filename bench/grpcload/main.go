// Command grpcload is a load generator of gRPC peers: what native/load.c is of
// native ones, with the same arguments, orders and output.
//
// It uses grpc-go as generated code does, but has its DATs encoded beforehand
// and looks only at the head of those that come, so that it costs little.
package main

import (
	"bufio"
	"context"
	"fmt"
	"log"
	"os"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

const (
	// maxMessage is larger than any message of a benchmark.
	maxMessage = 64<<20 + 64<<10
	// maxConnections is how many connections the flows share.
	maxConnections = 10
)

// spec says what to do, in the order of the arguments.
type spec struct {
	gives, gateway             bool
	address                    string
	flows, rounds, count, size int
	credit                     int64
}

func parse(arguments []string) (*spec, error) {
	if len(arguments) != 8 {
		return nil, fmt.Errorf("usage: grpcload give|take gateway|relay ADDRESS FLOWS ROUNDS COUNT SIZE CREDIT")
	}
	var numbers [5]int
	for i, word := range arguments[3:] {
		n, err := strconv.Atoi(word)
		if err != nil {
			return nil, err
		}
		numbers[i] = n
	}
	s := &spec{
		gives: arguments[0] == "give", gateway: arguments[1] == "gateway", address: arguments[2],
		flows: numbers[0], rounds: numbers[1], count: numbers[2], size: numbers[3], credit: int64(numbers[4]),
	}
	if s.flows < 1 || s.rounds < 1 || s.count < 0 || s.size < 8 || s.credit < 1 {
		return nil, fmt.Errorf("FLOWS, ROUNDS and CREDIT are at least 1, SIZE at least 8")
	}
	return s, nil
}

// run is what all flows share.
type run struct {
	opened sync.WaitGroup // flows that are not yet open
	gone   chan struct{}  // closed when the driver wants data

	taken        atomic.Int64
	from, to     int64
	began, ended time.Time // each written once, read when all is over
}

// wait reports a flow as open and waits for the go.
func (r *run) wait() {
	r.opened.Done()
	<-r.gone
}

// tally counts a message taken.
func (r *run) tally() {
	n := r.taken.Add(1)
	if n == r.from {
		r.began = time.Now()
	}
	if n == r.to {
		r.ended = time.Now()
	}
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("grpcload: ")
	debug.SetGCPercent(400) // the generator's own cost is not what is measured
	s, err := parse(os.Args[1:])
	if err == nil {
		err = s.run(context.Background())
	}
	if err != nil {
		log.Fatal(err)
	}
}

func (s *spec) run(ctx context.Context) error {
	total := int64(s.flows) * int64(s.rounds) * int64(s.count)
	r := &run{gone: make(chan struct{}), from: max(1, total/10), to: total - total/10}
	r.opened.Add(s.flows)
	conns := make([]*grpc.ClientConn, min(s.flows, maxConnections))
	for i := range conns {
		conn, err := grpc.NewClient(s.address, grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithDefaultCallOptions(grpc.ForceCodecV2(codec{}),
				grpc.MaxCallRecvMsgSize(maxMessage), grpc.MaxCallSendMsgSize(maxMessage)))
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close() }()
		conns[i] = conn
	}
	flows := make([]*flow, s.flows)
	playing, ctx := errgroup.WithContext(ctx)
	for i := range flows {
		flows[i] = &flow{spec: s, run: r, pair: uint64(i), conn: conns[i%len(conns)], cids: make(chan uint64, 1)}
		playing.Go(func() error { return flows[i].play(ctx) })
	}
	if s.gives {
		go r.obey(flows)
		go func() {
			r.opened.Wait()
			fmt.Println("open")
		}()
		return playing.Wait()
	}
	if err := playing.Wait(); err != nil {
		return err
	}
	return r.report(flows)
}

// obey reads the driver's orders until there are no more.
func (r *run) obey(flows []*flow) {
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		if lines.Text() == "go" {
			close(r.gone)
			continue
		}
		var i int
		var cid uint64
		if _, err := fmt.Sscan(lines.Text(), &i, &cid); err != nil || i < 0 || i >= len(flows) {
			log.Fatalf("order %q: %v", lines.Text(), err)
		}
		flows[i].cids <- cid
	}
}

func (r *run) report(flows []*flow) error {
	out := bufio.NewWriter(os.Stdout)
	_, _ = fmt.Fprintln(out, max(0, r.to-r.from), r.ended.Sub(r.began).Nanoseconds()) // Flush answers the error
	for _, f := range flows {
		for _, sample := range f.samples {
			_, _ = fmt.Fprintln(out, sample.Nanoseconds())
		}
	}
	return out.Flush()
}
