package transfer

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/charmbracelet/x/ansi"

	"github.com/zioflow/gateway/broker/zio"
	"github.com/zioflow/gateway/cli/remote"
	"github.com/zioflow/gateway/cli/tables"
	zioflow "github.com/zioflow/gateway/clients/go"
)

// Bench gives and takes flows through a gateway, and says how fast that is.
type Bench struct {
	connection `embed:""`

	To        string `help:"How the takers reach the gateway, if not as the givers do by --via: grpc, zmq-server or zmq-router." enum:",grpc,zmq-server,zmq-router" default:"" env:"-"`
	ToAddress string `help:"Where it is for them." placeholder:"ADDRESS" env:"-"`
	GRPC      string `name:"grpc" help:"Where the gateway's gRPC is, if --via is another: the takers listen for their flows there." placeholder:"ADDRESS"`
	Flows     int    `default:"1" help:"How many flows at once." env:"-"`
	Count     uint64 `default:"10000" help:"How many messages in each."`
	Size      int    `default:"65536" help:"The payload of each, in bytes."`
	Credit    int64  `default:"100" help:"How many messages of a flow may be under way."`
	JSON      bool   `name:"json" help:"Print the figures as JSON." env:"-"`
}

// Help is shown by kong.
func (*Bench) Help() string {
	return "Givers are clients, takers their handlers; both are in this process, on connections of their own. DELAY is the " +
		"time from a giver to its taker, with the time in which a message waits for others before it: a smaller --credit " +
		"shortens that."
}

// Validate is called by kong.
func (c *Bench) Validate() error {
	switch {
	case c.Flows < 1 || c.Flows > maxBenchFlows:
		return fmt.Errorf("--flows is %d, want 1 to %d", c.Flows, maxBenchFlows)
	case c.Size < 0 || c.Size > maxMessage:
		return fmt.Errorf("--size is %d, want 0 to %d", c.Size, maxMessage)
	case c.Count < 1:
		return errors.New("--count is 0, want 1 or more")
	}
	return nil
}

const (
	maxBenchFlows = 1000
	// maxDelays bounds how many delays of a flow are kept; of more messages every second
	// one, or every third, and so on.
	maxDelays = 100_000
)

// Run prints a table to standard output.
func (c *Bench) Run() error { return inWords(c.run()) }

func (c *Bench) run() error {
	ctx, stop := interruptible()
	defer stop()
	giver := terms{connection: c.connection, Credit: c.Credit, GRPC: c.GRPC}
	taker := giver
	if taker.Via = cmp.Or(c.To, c.Via); taker.Via != c.Via || c.ToAddress != "" {
		taker.Address = c.ToAddress
	}
	if taker.Via == "grpc" && giver.Via != "grpc" && taker.Address == "" {
		taker.Address = remote.First(c.GRPC)
	}
	gateway, _, err := giver.dial()
	if err != nil {
		return err
	}
	defer func() { _ = gateway.Close() }()
	name := rand.Text()
	l := listen(ctx, gateway, "gateway bench", fmt.Sprintf("attributes.bench == %q", name), zio.Inject, uint32(c.Flows))
	defer l.close()
	select {
	case <-l.listening:
	case <-l.ended:
		return l.err
	}
	r := &benchRun{bench: c, giver: giver, taker: taker, meter: newMeter("bench", int64(c.Count)*int64(c.Size)*int64(c.Flows))}
	err = r.flows(ctx, l, map[string]any{"bench": name})
	r.meter.hide()
	if err == nil || isInterrupt(err) {
		r.print(os.Stdout)
	}
	return err
}

// benchRun is one run of a bench.
type benchRun struct {
	bench        *Bench
	giver, taker terms

	mu     sync.Mutex
	meter  *meter                  // guarded by mu; of the takers
	given  uint64                  // guarded by mu
	delays []time.Duration         // guarded by mu
	took   [2]time.Duration        // guarded by mu; the givers' longest, the takers'
	errs   []error                 // guarded by mu; without what follows from others
	stop   context.CancelCauseFunc // ends all flows
}

// flows runs all flows to their ends. Where one fails, the others are ended.
func (r *benchRun) flows(ctx context.Context, l *listener, attributes map[string]any) error {
	ctx, r.stop = context.WithCancelCause(ctx)
	defer r.stop(nil)
	var running sync.WaitGroup
	for range r.bench.Flows {
		running.Go(func() { r.failed(r.give(ctx, attributes)) })
		running.Go(func() { r.failed(r.take(ctx, l)) })
	}
	running.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := context.Cause(ctx); isInterrupt(err) {
		return err
	}
	if len(r.errs) > 0 {
		return r.errs[0] // the others follow from it
	}
	if want := r.bench.Count * uint64(r.bench.Flows); r.meter.messages != want {
		return fmt.Errorf("%d messages have come, %d were given", r.meter.messages, want)
	}
	return nil
}

func (r *benchRun) failed(err error) {
	if err == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.errs = append(r.errs, err)
	r.stop(err)
}

func (r *benchRun) give(ctx context.Context, attributes map[string]any) error {
	f, err := r.giver.open(ctx, zio.Extract, attributes)
	if err != nil {
		return err
	}
	begin, given := time.Now(), newCounter()
	payload := [][]byte{make([]byte, r.bench.Size)}
	if r.bench.Size == 0 {
		payload = nil // MSG-7
	}
	err = give(f, func(yield func(zioflow.Dat, error) bool) {
		for range r.bench.Count {
			if !yield(zioflow.Dat{Payload: payload, Granule: uint64(time.Now().UnixMicro())}, nil) {
				return
			}
		}
	}, given)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.given += given.messages
	r.took[0] = max(r.took[0], time.Since(begin))
	return err
}

func (r *benchRun) take(ctx context.Context, l *listener) error {
	var cid uint64
	select {
	case cid = <-l.offers:
	case <-l.ended:
		return l.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	f, err := r.taker.openAs(ctx, cid, zio.Inject, map[string]any{})
	if err != nil {
		return err
	}
	s := &stopwatch{run: r, every: 1 + r.bench.Count/maxDelays}
	begin := time.Now()
	err = take(f, s, newCounter())
	r.mu.Lock()
	defer r.mu.Unlock()
	r.delays = append(r.delays, s.delays...)
	r.took[1] = max(r.took[1], time.Since(begin))
	return err
}

// stopwatch is a sink that keeps how long messages were under way.
type stopwatch struct {
	run        *benchRun
	every, got uint64
	delays     []time.Duration
}

func (s *stopwatch) take(dat zioflow.Dat) error {
	if s.got++; s.got%s.every == 0 {
		s.delays = append(s.delays, time.Since(time.UnixMicro(int64(dat.Granule))))
	}
	s.run.mu.Lock()
	defer s.run.mu.Unlock()
	s.run.meter.add(dat)
	return nil
}

func (s *stopwatch) close() error { return nil }
func (s *stopwatch) files() int   { return 0 }

// figures are those of one side, as JSON.
type figures struct {
	report
	Flows  int                `json:"flows"`
	Delays map[string]float64 `json:"delay_seconds,omitempty"`
}

func (r *benchRun) figures() []figures {
	r.mu.Lock()
	defer r.mu.Unlock()
	slices.Sort(r.delays)
	quantiles := map[string]float64{}
	for name, q := range map[string]float64{"p50": 0.5, "p99": 0.99, "max": 1} {
		if n := len(r.delays); n > 0 {
			quantiles[name] = r.delays[min(int(q*float64(n)), n-1)].Seconds()
		}
	}
	gave := report{r.giver.Via, "gave", r.given, r.given * uint64(r.bench.Size), 0, r.took[0].Seconds()}
	took := report{r.taker.Via, "took", r.meter.messages, r.meter.bytes, 0, r.took[1].Seconds()}
	return []figures{{gave, r.bench.Flows, nil}, {took, r.bench.Flows, quantiles}}
}

func (r *benchRun) print(w io.Writer) {
	all := r.figures()
	if r.bench.JSON {
		_ = json.NewEncoder(w).Encode(all)
		return
	}
	t := tables.Table{Columns: []tables.Column{
		{Name: "DID"}, {Name: "VIA"}, {Name: "FLOWS", Right: true}, {Name: "MESSAGES", Right: true}, {Name: "BYTES", Right: true}, {Name: "TIME", Right: true},
		{Name: "RATE", Right: true}, {Name: "BYTE RATE", Right: true}, {Name: "DELAY P50", Right: true}, {Name: "P99", Right: true}, {Name: "MAX", Right: true},
	}}
	for _, f := range all {
		seconds := max(f.Seconds, 1e-9)
		row := []string{f.Did, f.Via, tables.Count(f.Flows), tables.Count(f.Messages), tables.Bytes(f.Bytes), fmt.Sprintf("%.2fs", f.Seconds),
			tables.Rate(float64(f.Messages) / seconds), tables.ByteRate(float64(f.Bytes) / seconds)}
		for _, name := range []string{"p50", "p99", "max"} {
			delay, known := f.Delays[name]
			if row = append(row, ""); known {
				row[len(row)-1] = fmt.Sprintf("%.1fms", delay*1e3)
			}
		}
		cells := make([]tables.Cell, len(row))
		for i := range row {
			cells[i].Text = row[i]
		}
		t.Rows = append(t.Rows, cells)
	}
	_, _ = io.WriteString(w, ansi.Strip(t.Render(0)))
}
