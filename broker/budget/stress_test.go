package budget

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Sizes of the stress: there is room for a sixth of what all would like to hold.
const (
	stressLimit   = 10_000
	stressMessage = 1000
	stressOwners  = 5
	stressEach    = 8
	stressRounds  = 300
)

// Many of many owners charge, give back and stop at once: none is forgotten, at no
// time is there more than there may be, and in the end all is as it was.
func TestChargeStress(t *testing.T) {
	t.Parallel()
	const peers = stressOwners * stressEach
	for name, c := range map[string]struct{ current, most int64 }{
		"one message free": {0, stressLimit + peers*stressMessage},
		"none free":        {NoFree, stressLimit},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stress(t, peers, c.current, c.most)
		})
	}
}

func stress(t *testing.T, peers int, current, most int64) {
	b := newBudget(stressLimit)
	late := make(chan struct{})
	timer := time.AfterFunc(2*time.Minute, func() { close(late) })
	defer timer.Stop()
	var wait, watch sync.WaitGroup
	var done atomic.Bool
	watch.Go(func() {
		for !done.Load() {
			if n := b.held.Load(); n > most || n < 0 {
				t.Errorf("%d bytes are held, want at most %d", n, most)
				return
			}
			runtime.Gosched()
		}
	})
	for i := range peers {
		wait.Go(func() {
			a := b.NewAccount(fmt.Sprint("owner ", i%stressOwners), stressLimit/4)
			stressAccount(t, rand.New(rand.NewPCG(1, uint64(i))), a, current, late)
			if n := a.Held(); n != 0 {
				t.Errorf("%d bytes are left", n)
			}
		})
	}
	wait.Wait()
	done.Store(true)
	watch.Wait()
	wantHeld(t, b, 0)
	wantNobodyWaiting(t, b)
}

// stressAccount has one peer read and send on as it comes. What leaves, leaves by
// another goroutine.
func stressAccount(t *testing.T, rng *rand.Rand, a *Account, current int64, late <-chan struct{}) {
	leaving := make(chan int64, 16)
	var wait sync.WaitGroup
	wait.Go(func() {
		for n := range leaving {
			runtime.Gosched()
			a.Release(n)
		}
	})
	defer wait.Wait()
	defer close(leaving)
	for range stressRounds {
		n := 1 + rng.Int64N(stressMessage)
		switch rng.IntN(4) {
		case 0:
			if !a.TryCharge(n, current) {
				continue
			}
		case 1: // whose connection ends while it waits
			stop := make(chan struct{})
			go func() { runtime.Gosched(); close(stop) }()
			if !a.Charge(n, current, stop) {
				continue
			}
		default:
			if !a.Charge(n, current, late) {
				t.Error("an account was forgotten")
				return
			}
		}
		leaving <- n
	}
}
