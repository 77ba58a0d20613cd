package budget

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// newBudget is a budget of that many bytes.
func newBudget(limit int64) *Budget {
	b := &Budget{}
	b.limit.Store(limit)
	return b
}

// waits begins to charge, and returns where it is told whether that was granted. Only
// within synctest: when it returns, it waits or is over.
func waits(a *Account, n, current int64, stop <-chan struct{}) <-chan bool {
	granted := make(chan bool, 1)
	go func() { granted <- a.Charge(n, current, stop) }()
	synctest.Wait()
	return granted
}

func isGranted(granted <-chan bool) bool {
	synctest.Wait()
	select {
	case ok := <-granted:
		return ok
	default:
		return false
	}
}

func wantHeld(t *testing.T, b *Budget, want int64) {
	t.Helper()
	if got := b.held.Load(); got != want {
		t.Errorf("%d bytes are held, want %d", got, want)
	}
}

// wantNobodyWaiting looks for what those who waited have left behind.
func wantNobodyWaiting(t *testing.T, b *Budget) {
	t.Helper()
	if n := b.Waiting(); n != 0 || len(b.queue.lanes) != 0 || b.queue.turns.Len() != 0 || b.queue.front() != nil {
		t.Errorf("%d wait, in %d lanes of %d turns", n, len(b.queue.lanes), b.queue.turns.Len())
	}
}

// A message is let in whatever the budget says, where nothing but itself is held.
func TestChargeLetsOneMessageIn(t *testing.T) {
	t.Parallel()
	b := newBudget(100)
	full := b.NewAccount("full", 1000)
	full.Add(100)
	a := b.NewAccount("a", 10)
	for current := range int64(5) { // as its memory is taken piece by piece
		if !a.Charge(50, 50*current, nil) {
			t.Fatal("a message was not let in")
		}
	}
	if a.TryCharge(1, 249) {
		t.Error("another one was let in")
	}
	wantHeld(t, b, 350)
	a.Release(250)
	if !a.TryCharge(50, 0) {
		t.Error("the next one was not let in when the first had left")
	}
}

// What one account may hold is bounded by itself, too.
func TestChargeOwnLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(1000)
		a, other := b.NewAccount("a", 100), b.NewAccount("b", 100)
		a.Add(80)
		if a.TryCharge(30, 0) {
			t.Fatal("an account went beyond its limit")
		}
		granted := waits(a, 30, 0, nil)
		other.Add(50)
		other.Release(50)
		if isGranted(granted) {
			t.Fatal("an account went beyond its limit because another made room")
		}
		other.Add(1)
		if !other.TryCharge(90, 0) {
			t.Error("one that waits for its own account holds up others")
		}
		if b.Full() {
			t.Error("one that waits for its own account makes the budget full")
		}
		if n := b.Waiting(); n != 1 {
			t.Errorf("%d are counted as waiting, want 1", n)
		}
		a.Release(9)
		if isGranted(granted) {
			t.Fatal("too early")
		}
		a.Release(1)
		if !isGranted(granted) {
			t.Error("its own room was not granted")
		}
		wantHeld(t, b, 191)
		wantNobodyWaiting(t, b)
	})
}

// fill uses a budget up by an account of its own, and gives it room in every account
// that is asked for: those who hold nothing never wait.
func fill(b *Budget, accounts ...*Account) *Account {
	for _, a := range accounts {
		a.Add(1)
	}
	full := b.NewAccount("full", 1<<40)
	full.Add(b.limit.Load() - b.held.Load())
	return full
}

// Those of one owner are served in the order in which they came, however little the
// later ones want.
func TestChargeInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(1000)
		accounts := make([]*Account, 5)
		for i := range accounts {
			accounts[i] = b.NewAccount("owner", 1000)
		}
		full := fill(b, accounts...)
		granted := make([]<-chan bool, len(accounts))
		for i, a := range accounts {
			granted[i] = waits(a, int64(100-20*i), 0, nil)
		}
		for i := range accounts {
			full.Release(int64(100-20*i) - 1)
			if isGranted(granted[i]) {
				t.Fatalf("%d was granted without room", i)
			}
			full.Release(1)
			if !isGranted(granted[i]) {
				t.Fatalf("%d was not granted", i)
			}
			for j := i + 1; j < len(accounts); j++ {
				if isGranted(granted[j]) {
					t.Fatalf("%d was granted before its turn", j)
				}
			}
		}
		wantHeld(t, b, 1000)
	})
}

// order makes room for ten bytes at a time and returns who was granted them, in turn.
func order(full *Account, names []string, granted []<-chan bool) (turns []string) {
	for range granted {
		full.Release(10)
		synctest.Wait()
		for i, g := range granted {
			if g != nil && isGranted(g) {
				turns = append(turns, names[i])
				granted[i] = nil
			}
		}
	}
	return turns
}

// Owners take turns, however many accounts of theirs wait.
func TestChargeOwnersTakeTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(1000)
		names := []string{"many", "many", "many", "many", "two", "two", "one"}
		accounts := make([]*Account, len(names))
		for i, name := range names {
			accounts[i] = b.NewAccount(name, 1000)
		}
		full := fill(b, accounts...)
		granted := make([]<-chan bool, len(names))
		for i, a := range accounts {
			granted[i] = waits(a, 10, 0, nil)
		}
		if turns := order(full, names, granted); !slices.Equal(turns, []string{"many", "two", "one", "many", "two", "many", "many"}) {
			t.Errorf("they were served in the order %v", turns)
		}
		wantNobodyWaiting(t, b)
	})
}

// What leaves one account makes room for whose turn it is, not for the same account
// again.
func TestChargeReleaseIsForWhoseTurnItIs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(100)
		large, small := b.NewAccount("large", 100), b.NewAccount("small", 100)
		small.Add(10)
		large.Add(90)
		first := waits(small, 20, 0, nil)
		again := waits(large, 20, 0, nil)
		large.Release(20)
		if isGranted(again) || !isGranted(first) {
			t.Error("the room that was made was taken by who made it, before its turn")
		}
		large.Release(20)
		if !isGranted(again) {
			t.Error("it was not granted in its turn")
		}
	})
}

// Who stops waiting has charged nothing, and is in nobody's way.
func TestChargeStops(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(100)
		a, c, d := b.NewAccount("a", 100), b.NewAccount("a", 100), b.NewAccount("d", 100)
		full := fill(b, a, c, d)
		stop := make(chan struct{})
		first, second, third := waits(a, 50, 0, stop), waits(c, 10, 0, nil), waits(d, 10, 0, nil)
		held := b.held.Load()
		close(stop)
		if <-first {
			t.Error("who stopped was granted something")
		}
		wantHeld(t, b, held)
		full.Release(20)
		if !isGranted(second) || !isGranted(third) {
			t.Error("who stopped is in the way of others")
		}
		if a.Held() != 1 || c.Held() != 11 {
			t.Errorf("the accounts hold %d and %d", a.Held(), c.Held())
		}
		closed := make(chan struct{})
		close(closed)
		if a.Charge(1000, 0, closed) {
			t.Error("a stopped one was granted something")
		}
	})
}

// Who gives up its turn leaves it to those behind it, for whom there is room.
func TestChargeGivesItsTurnUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(100)
		a, c := b.NewAccount("a", 100), b.NewAccount("c", 100)
		a.Add(1)
		c.Add(1)
		full := b.NewAccount("full", 100)
		full.Add(78)
		stop := make(chan struct{})
		first, second := waits(a, 50, 0, stop), waits(c, 20, 0, nil)
		if isGranted(second) {
			t.Fatal("it was granted before its turn")
		}
		close(stop)
		if <-first || !isGranted(second) {
			t.Error("there is room, and it was not granted")
		}
		wantNobodyWaiting(t, b)
	})
}

// A message for which the whole budget is too small waits for its own account, and
// holds nobody up.
func TestChargeBeyondTheBudget(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(100)
		a, other := b.NewAccount("a", 1000), b.NewAccount("other", 1000)
		a.Add(1)
		other.Add(1)
		granted := waits(a, 100, 0, nil)
		if b.Full() || !other.TryCharge(98, 0) {
			t.Error("it holds others up")
		}
		a.Release(1)
		if !isGranted(granted) {
			t.Error("it was not let in when its account was empty")
		}
		wantHeld(t, b, 199)
	})
}

// One whose account fills up while it waits in the queue is in nobody's way either.
func TestChargeFillsItsAccountWhileItWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(100)
		a, other := b.NewAccount("a", 30), b.NewAccount("other", 100)
		full := fill(b, a, other)
		first, second := waits(a, 20, 0, nil), waits(other, 20, 0, nil)
		a.Add(20)
		full.Release(60)
		if isGranted(first) || !isGranted(second) {
			t.Error("an account went beyond its limit, or holds others up")
		}
		a.Release(11)
		if !isGranted(first) {
			t.Error("its own room was not granted")
		}
		wantNobodyWaiting(t, b)
	})
}

// Where nobody waits, charging costs no memory.
func TestTryChargeAllocatesNothing(t *testing.T) {
	b := newBudget(100)
	a := b.NewAccount("a", 100)
	a.Add(10)
	if n := testing.AllocsPerRun(100, func() {
		if !a.Charge(5, 5, nil) || a.TryCharge(90, 0) {
			t.Fatal("not charged as it should be")
		}
		a.Release(5)
	}); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

// A greater limit lets in who waits.
func TestChargeAfterResize(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(100)
		a, c := b.NewAccount("a", 1000), b.NewAccount("c", 1000)
		fill(b, a, c)
		much, little := waits(a, 500, 0, nil), waits(c, 50, 0, nil)
		b.Resize(649) // in which the first has become one that waits for room
		if !isGranted(little) || isGranted(much) {
			t.Fatal("what there is room for was not let in, or more")
		}
		b.Resize(650)
		if !isGranted(much) {
			t.Error("it was not let in")
		}
		wantNobodyWaiting(t, b)
	})
}

// However many wait for their own accounts, they do not keep others from room.
func TestChargeBehindMany(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const many = 5 * 64
		b := newBudget(100_000)
		stop := make(chan struct{})
		defer close(stop)
		for i := range many {
			a := b.NewAccount(fmt.Sprint(i), 10)
			a.Add(10)
			waits(a, 10, 0, stop)
		}
		a := b.NewAccount("a", 1000)
		full := fill(b, a)
		granted := waits(a, 100, 0, stop)
		full.Release(100)
		if !isGranted(granted) {
			t.Error("there is room, and it was not granted")
		}
	})
}

// Trying to charge more than there is room for leaves no trace: not even for a moment,
// in which somebody else would find no room and wait, with nobody to wake it.
func TestTryChargeIsNotInTheWay(t *testing.T) {
	t.Parallel()
	b := newBudget(100)
	greedy, modest := b.NewAccount("greedy", 100), b.NewAccount("modest", 100)
	greedy.Add(50)
	modest.Add(10)
	var tries atomic.Int64
	var done atomic.Bool
	var wait sync.WaitGroup
	wait.Go(func() {
		for !done.Load() {
			if greedy.TryCharge(45, 0) {
				t.Error("more was charged than there is room for")
				return
			}
			tries.Add(1)
		}
	})
	// Seen while the other one truly runs; on a single processor it never does.
	meanwhile, last := 0, int64(0)
	for began := time.Now(); meanwhile < 20_000 && time.Since(began) < 2*time.Second; {
		n, now := b.held.Load(), tries.Load()
		if n != 60 {
			t.Errorf("%d bytes are held meanwhile, want 60", n)
			break
		}
		if now != last {
			meanwhile++
		}
		last = now
	}
	done.Store(true)
	wait.Wait()
}
