package zioflow_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	zioflow "github.com/zioflow/gateway/clients/go"
)

// numbered is n messages that say which they are.
func numbered(n uint64) []zioflow.Dat {
	dats := make([]zioflow.Dat, n)
	for i := range dats {
		dats[i] = zioflow.Dat{Payload: [][]byte{binary.LittleEndian.AppendUint64(nil, uint64(i))}}
	}
	return dats
}

// takeNumbered takes to the end, and checks that nothing is missing.
func takeNumbered(ctx context.Context, taker *zioflow.Taker, n uint64) error {
	defer taker.Abort()
	var next uint64
	for dat, err := range taker.All(ctx) {
		if err != nil {
			return err
		}
		if got := binary.LittleEndian.Uint64(dat.Payload[0]); got != next {
			return fmt.Errorf("number %d came, want %d", got, next)
		}
		next++
	}
	if next != n {
		return fmt.Errorf("%d came, want %d", next, n)
	}
	return nil
}

func giveNumbered(ctx context.Context, giver *zioflow.Giver, n uint64) error {
	defer giver.Abort()
	for _, dat := range numbered(n) {
		if err := giver.Put(ctx, dat); err != nil {
			return err
		}
	}
	return giver.Close(ctx)
}

// TestConcurrently runs 200 flows at once over one connection, in real time: a
// quarter of them each by Give, Take, PutAll and GetAll.
func TestConcurrently(t *testing.T) {
	const flows, messages = 200, 50
	m := newMemory(patient())
	defer m.stop()
	g := dial(m.Listener)
	defer func() { _ = g.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()

	results := make(chan error, 2*flows)
	handle(t, g, zioflow.Listener{Name: "all"}, func(ctx context.Context, o *zioflow.Offer) error {
		if o.Direction == zioflow.Inject {
			taker, err := o.Take(ctx, zioflow.Bot{})
			if err == nil {
				err = takeNumbered(ctx, taker, messages)
			}
			results <- err
			return err
		}
		giver, err := o.Give(ctx, zioflow.Bot{})
		if err == nil {
			err = giveNumbered(ctx, giver, messages)
		}
		results <- err
		return err
	})

	var clients sync.WaitGroup
	for i := range flows {
		bot := zioflow.Bot{Credit: int64(1 + i%7)}
		clients.Go(func() { results <- runClient(ctx, g, i%4, bot, messages) })
	}
	clients.Wait()
	for range 2 * flows {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
}

func runClient(ctx context.Context, g *zioflow.Gateway, how int, bot zioflow.Bot, messages uint64) error {
	switch how {
	case 0:
		giver, err := g.Give(ctx, bot)
		if err != nil {
			return err
		}
		return giveNumbered(ctx, giver, messages)
	case 1:
		taker, err := g.Take(ctx, bot)
		if err != nil {
			return err
		}
		return takeNumbered(ctx, taker, messages)
	case 2:
		summary, err := g.PutAll(ctx, bot, zioflow.Dats(slices.Values(numbered(messages))))
		if err == nil && summary.Messages != messages {
			err = fmt.Errorf("%d were passed on, want %d", summary.Messages, messages)
		}
		return err
	default:
		var n uint64
		for _, err := range g.GetAll(ctx, bot) {
			if err != nil {
				return err
			}
			n++
		}
		if n != messages {
			return fmt.Errorf("%d came, want %d", n, messages)
		}
		return nil
	}
}

// TestConcurrent_calls has many goroutines share one flow, and end it from
// several sides at once.
func TestConcurrent_calls(t *testing.T) {
	const puts, each = 8, 20
	eachWay(t, 3, func(t *testing.T, giver *zioflow.Giver, taker *zioflow.Taker) {
		var givers, takers sync.WaitGroup
		var mu sync.Mutex
		seen := map[string]int{}
		for i := range puts {
			givers.Go(func() {
				for range each {
					put(t, giver, fmt.Sprint(i))
				}
			})
			takers.Go(func() {
				for dat, err := range taker.All(t.Context()) {
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					seen[string(dat.Payload[0])]++
					mu.Unlock()
				}
			})
		}
		givers.Wait()
		for range 3 {
			givers.Go(func() {
				if err := giver.Close(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		givers.Wait()
		takers.Wait()
		for i := range puts {
			if n := seen[fmt.Sprint(i)]; n != each {
				t.Errorf("%d of %d came", n, i)
			}
		}
		for _, end := range []func(){giver.Abort, taker.Abort} {
			takers.Go(end)
			takers.Go(end)
		}
		takers.Wait()
	})
}
