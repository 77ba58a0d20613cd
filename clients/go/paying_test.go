package zioflow_test

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"

	zioflow "github.com/zioflow/gateway/clients/go"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// givingGateway gives so many messages of a size at once, then EOT if it is to, and
// notes what it is told.
type givingGateway struct {
	gatewayv1.UnimplementedFlowServiceServer
	credit      int64
	count, size int
	eot         bool

	mu   sync.Mutex
	told []string // guarded by mu
}

func (f *givingGateway) Open(stream grpc.BidiStreamingServer[gatewayv1.OpenRequest, gatewayv1.OpenResponse]) error {
	answers := []*gatewayv1.OpenResponse{{Message: &gatewayv1.OpenResponse_Bot{Bot: &gatewayv1.Bot{Credit: f.credit}}}}
	for range f.count {
		dat := &gatewayv1.Dat{Payload: [][]byte{make([]byte, f.size)}}
		answers = append(answers, &gatewayv1.OpenResponse{Message: &gatewayv1.OpenResponse_Dat{Dat: dat}})
	}
	if f.eot {
		answers = append(answers, told(0, ""))
	}
	go func() { // what is not read holds it up
		for _, m := range answers {
			if stream.Send(m) != nil {
				return
			}
		}
	}()
	for {
		request, err := stream.Recv()
		if err != nil {
			return err
		}
		switch {
		case request.GetPay() != nil:
			f.note(fmt.Sprintf("pay %d", request.GetPay().GetCredit()))
		case request.GetEot() != nil:
			f.note("eot")
			if f.eot {
				return nil
			}
		}
	}
}

func (f *givingGateway) note(what string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.told = append(f.told, what)
}

// wantTold wants the gateway to have been told that since it was asked last, once all
// else waits.
func (f *givingGateway) wantTold(t *testing.T, when string, want ...string) {
	t.Helper()
	synctest.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	if !slices.Equal(f.told, want) {
		t.Errorf("%s the gateway is told %q, want %q", when, f.told, want)
	}
	f.told = nil
}

func (f *givingGateway) take(t *testing.T) *zioflow.Taker {
	t.Helper()
	taker, err := serveFake(t, f, nil).Take(t.Context(), zioflow.Bot{Credit: f.credit})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(taker.Abort)
	f.wantTold(t, "at the beginning", fmt.Sprintf("pay %d", f.credit))
	return taker
}

func takeOne(t *testing.T, taker *zioflow.Taker) {
	t.Helper()
	if _, err := taker.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestTaker_paysOneByOne once the giver has said EOT: all that was given may be where
// the gateway does not see it any more.
func TestTaker_paysOneByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gateway := &givingGateway{credit: 10, count: 4, size: 100, eot: true}
		taker := gateway.take(t)
		for i := range gateway.count {
			takeOne(t, taker)
			gateway.wantTold(t, fmt.Sprintf("after %d", i), "pay 1")
		}
		if _, err := taker.Next(t.Context()); !errors.Is(err, io.EOF) {
			t.Errorf("in the end: %v", err)
		}
		gateway.wantTold(t, "in the end", "eot")
	})
}

// TestTaker_paysByHalves as long as more may come, unless it takes its time.
func TestTaker_paysByHalves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gateway := &givingGateway{credit: 10, count: 10, size: 100}
		taker := gateway.take(t)
		for range 4 {
			takeOne(t, taker)
			gateway.wantTold(t, "below half of the credit")
		}
		takeOne(t, taker)
		gateway.wantTold(t, "at half of the credit", "pay 5")
		takeOne(t, taker)
		gateway.wantTold(t, "soon after that")
		time.Sleep(time.Second)
		takeOne(t, taker)
		gateway.wantTold(t, "when the taker has taken its time", "pay 2")
		time.Sleep(time.Second)
		takeOne(t, taker)
		gateway.wantTold(t, "again", "pay 1")
	})
}

// TestTaker_slowerThanTheEOTTimeout, 30 s, for all that it has buffered: the gateway sees
// that it moves, message by message.
func TestTaker_slowerThanTheEOTTimeout(t *testing.T) {
	eachWay(t, 10, func(t *testing.T, giver *zioflow.Giver, taker *zioflow.Taker) {
		given := []string{"a", "b", "c", "d", "e"}
		put(t, giver, given...)
		closed := background(func() error { return giver.Close(t.Context()) })
		var got []string
		for dat, err := range taker.All(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, string(dat.Payload[0]))
			time.Sleep(20 * time.Second)
		}
		if err := <-closed; err != nil || !slices.Equal(got, given) {
			t.Errorf("took %v, the giver is told %v", got, err)
		}
	})
}

// TestTaker_readsAhead so far and no further: what is not asked for, gRPC holds back.
func TestTaker_readsAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gateway := &givingGateway{credit: 100, count: 100, size: 300 << 10, eot: true}
		taker := gateway.take(t)
		if n := taker.Waiting(); n != 4 {
			t.Errorf("%d messages of 300 KiB were read, want 4: those that begin below 1 MiB", n)
		}
		for range gateway.count {
			takeOne(t, taker)
			synctest.Wait()
			if n := taker.Waiting(); n > 4 {
				t.Fatalf("%d messages are waiting", n)
			}
		}
		if _, err := taker.Next(t.Context()); !errors.Is(err, io.EOF) {
			t.Errorf("in the end: %v", err)
		}
	})
}

// TestTaker_manyTake: each message goes to one of those who wait, and all are told of
// the end.
func TestTaker_manyTake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gateway := &givingGateway{credit: 50, count: 50, size: 1, eot: true}
		taker := gateway.take(t)
		var mu sync.Mutex
		taken := 0
		var taking sync.WaitGroup
		for range 8 {
			taking.Go(func() {
				for {
					_, err := taker.Next(t.Context())
					if err != nil {
						if !errors.Is(err, io.EOF) {
							t.Error(err)
						}
						return
					}
					mu.Lock()
					taken++
					mu.Unlock()
				}
			})
		}
		taking.Wait()
		if taken != gateway.count {
			t.Errorf("took %d, want %d", taken, gateway.count)
		}
	})
}

// TestTaker_failedFlow: what came before the failure is taken first.
func TestTaker_failedFlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bot := &gatewayv1.OpenResponse{Message: &gatewayv1.OpenResponse_Bot{Bot: &gatewayv1.Bot{Credit: 5}}}
		dat := &gatewayv1.OpenResponse{Message: &gatewayv1.OpenResponse_Dat{Dat: &gatewayv1.Dat{Payload: [][]byte{[]byte("x")}}}}
		fake := toldGateway{messages: []*gatewayv1.OpenResponse{bot, dat, dat}, end: errors.New("broken")}
		taker, err := serveFake(t, fake, nil).Take(t.Context(), zioflow.Bot{Credit: 5})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got, err := take(t, taker, 5); len(got) != 2 || err == nil || !strings.Contains(err.Error(), "broken") {
			t.Errorf("took %v, %v", got, err)
		}
	})
}

// TestTaker_aborted: what this side has ended is at its end, whatever had come.
func TestTaker_aborted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gateway := &givingGateway{credit: 5, count: 5, size: 1}
		taker := gateway.take(t)
		taker.Abort()
		if _, err := taker.Next(t.Context()); !errors.Is(err, zioflow.ErrAborted) {
			t.Errorf("Next after Abort: %v", err)
		}
	})
}
