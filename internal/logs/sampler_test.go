package logs_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zioflow/gateway/internal/logs"
)

// book is what a sampler has written and left out.
type book struct {
	slog.Handler
	text bytes.Buffer

	mu   sync.Mutex
	left map[string]int // guarded by mu
}

func newBook() *book {
	b := &book{left: map[string]int{}}
	b.Handler = slog.NewTextHandler(&b.text, nil)
	return b
}

// Suppressed implements logs.Counter.
func (b *book) Suppressed(kind string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left[kind]++
}

// lines is how many lines have all of the words.
func (b *book) lines(words ...string) (n int) {
next:
	for line := range strings.Lines(b.text.String()) {
		for _, word := range words {
			if !strings.Contains(line, word) {
				continue next
			}
		}
		n++
	}
	return n
}

func say(s *logs.Sampler, kind string, peer logs.Peer, name string) {
	s.Log(context.Background(), slog.LevelInfo, kind, peer, kind, "peer", name)
}

// TestFloodOfOne: a peer has its burst, then so many lines a second, which say what
// is missing; nobody else's lines are touched, nor its own of another kind.
func TestFloodOfOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBook()
		s := logs.NewSampler(slog.New(b), logs.Options{})
		loud := logs.Of("", "192.0.2.1:1000")
		for range 10_000 { // 10 s
			say(s, "refused", loud, "loud")
			time.Sleep(time.Millisecond)
		}
		if n := b.lines("peer=loud"); n < 195 || n > 200 {
			t.Errorf("the flood has %d lines, want 100 and 10 a second", n)
		}
		if b.lines("peer=loud", "suppressed=99") < 90 {
			t.Errorf("what is missing is not told:\n%s", b.text.String())
		}
		say(s, "refused", logs.Of("", "192.0.2.2"), "quiet")
		say(s, "refused", logs.Of("loud", "192.0.2.1"), "named")
		say(s, "ended", loud, "same")
		for _, name := range []string{"quiet", "named", "same"} {
			if b.lines("peer="+name) != 1 || b.lines("peer="+name, "suppressed") != 0 {
				t.Errorf("%s has %d lines", name, b.lines("peer="+name))
			}
		}
		if n := b.left["refused"]; n+b.lines("peer=loud") != 10_000 || b.left["ended"] != 0 {
			t.Errorf("%v were left out", b.left)
		}
	})
}

// TestFloodOfMany: 5,000 strangers at once write no more than all together may, and
// silence neither who is known nor a stranger who comes when they have gone on for
// long, nor the log as a whole.
func TestFloodOfMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBook()
		s := logs.NewSampler(slog.New(b), logs.Options{})
		stranger := func(i int) logs.Peer { return logs.Of("", fmt.Sprintf("10.0.%d.%d:1", i/250, i%250)) }
		const seconds = 10
		for range seconds {
			for i := range 5000 {
				for range 3 {
					say(s, "refused", stranger(i), "flood")
				}
			}
			say(s, "refused", logs.Of("reader", "10.0.0.1"), "known")
			time.Sleep(time.Second)
		}
		// 5,000 at once, 1,000 a second, the burst and the rate of the rest, and a
		// line in 10 s of each who is remembered
		most := 5000 + seconds*1000 + 100 + seconds*10 + seconds/10*1024
		if n := b.lines("peer=flood"); n > most || n < seconds*1000 {
			t.Errorf("the flood has %d lines, want at most %d", n, most)
		}
		if n := b.lines("peer=known"); n != seconds {
			t.Errorf("who is known has %d lines of %d", n, seconds)
		}
		if n, told := b.lines("peer=flood")+b.left["refused"], b.lines("suppressed="); n != seconds*15_000 || told == 0 {
			t.Errorf("%d lines are accounted for", n)
		}
		time.Sleep(10 * time.Second)
		for i := 6000; i < 7000; i++ {
			say(s, "refused", stranger(i), "later")
		}
		if n := b.lines("peer=later"); n != 1000 {
			t.Errorf("of 1,000 strangers who come later %d have a line", n)
		}
	})
}

// TestNobodyIsSilenced: when those who flood have used up what all have together,
// who had no line for a while has one.
func TestNobodyIsSilenced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBook()
		s := logs.NewSampler(slog.New(b), logs.Options{TotalBurst: 50, TotalRate: 1})
		flood := func() {
			for i := range 20 {
				for range 100 {
					say(s, "refused", logs.Of("", fmt.Sprintf("10.0.0.%d", i)), "flood")
				}
			}
		}
		flood()
		for range 3 {
			say(s, "refused", logs.Of("", "192.0.2.1"), "quiet")
			time.Sleep(10 * time.Second)
			flood()
		}
		if n := b.lines("peer=quiet"); n != 3 {
			t.Errorf("the quiet peer has %d lines of 3", n)
		}
	})
}

// TestForgotten: what was left out of the lines of a peer that is forgotten is told
// with those of the others.
func TestForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBook()
		s := logs.NewSampler(slog.New(b), logs.Options{Peers: 2, Burst: 1, Rate: 1})
		for range 8 {
			say(s, "refused", logs.Of("", "a"), "a")
		}
		say(s, "refused", logs.Of("", "b"), "b")
		say(s, "refused", logs.Of("", "c"), "c") // nobody can be forgotten: one of the rest
		say(s, "refused", logs.Of("", "d"), "d") // the rest have none left
		time.Sleep(time.Minute)
		say(s, "refused", logs.Of("", "e"), "e") // a is forgotten
		say(s, "refused", logs.Of("", "b"), "b")
		say(s, "refused", logs.Of("", "f"), "f") // one of the rest
		if b.lines("peer=c") != 1 || b.lines("peer=d") != 0 || b.lines("peer=e") != 1 || b.lines("peer=f", "suppressed=8") != 1 {
			t.Errorf("the log is\n%s", b.text.String())
		}
	})
}

// TestMemory: a sampler that has seen 100,000 peers remembers few.
func TestMemory(t *testing.T) {
	s := logs.NewSampler(nil, logs.Options{})
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range 50_000 {
		peer := strings.Repeat("x", 1000) + fmt.Sprint(i) // a name is cut, so these are one
		s.Allow("refused", logs.Of(peer, ""))
		s.Allow("refused", logs.Of(fmt.Sprint(i), ""))
		s.Allow("refused", logs.Of("", fmt.Sprint(i)+strings.Repeat("y", 1000)))
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 2<<20 {
		t.Errorf("it holds %d bytes", grown)
	}
	s.Allow("refused", logs.Peer{})
}

// TestConcurrent: every line is written or counted.
func TestConcurrent(t *testing.T) {
	t.Parallel()
	b := newBook()
	s := logs.NewSampler(slog.New(b), logs.Options{Peers: 4, Burst: 2})
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 1000 {
				say(s, fmt.Sprint("kind", j%3), logs.Of("", fmt.Sprint(i, j%5)), "any")
			}
		})
	}
	all.Wait()
	n := b.lines("peer=any")
	for _, left := range b.left {
		n += left
	}
	if n != 8000 {
		t.Errorf("%d lines are accounted for", n)
	}
}

// TestLevel: a line that is not written anyway takes nothing from those that are.
func TestLevel(t *testing.T) {
	t.Parallel()
	b := newBook()
	s := logs.NewSampler(slog.New(b), logs.Options{Burst: 1, Rate: 1e-9})
	for range 3 {
		s.Log(t.Context(), slog.LevelDebug, "active", logs.Peer{}, "active")
	}
	s.Log(t.Context(), slog.LevelInfo, "active", logs.Peer{}, "active")
	if b.lines("msg=active") != 1 || b.left["active"] != 0 || s.Enabled(t.Context(), slog.LevelDebug) {
		t.Errorf("left out %v, the log is\n%s", b.left, b.text.String())
	}
}

// TestPeers: ports, zones and the hosts of a network are no other peers.
func TestPeers(t *testing.T) {
	t.Parallel()
	for _, same := range [][]logs.Peer{
		{logs.Of("", "192.0.2.1:1"), logs.Of("", "192.0.2.1:2"), logs.Of("", "192.0.2.1"), logs.Of("", "[::ffff:192.0.2.1]:3")},
		{logs.Of("", "[2001:db8::1]:1"), logs.Of("", "2001:db8::2"), logs.Of("", "2001:db8:0:0:ffff::%eth0")},
		{logs.Of("", "[::1]:1"), logs.Of("", "::1")},
		{logs.Of("reader", "192.0.2.1:1"), logs.Of("reader", "2001:db8::1")},
		{logs.Of("", "@"), logs.Of("", "@")},
		{logs.Of("", ""), {}},
	} {
		for _, peer := range same {
			if peer != same[0] {
				t.Errorf("%v and %v are two", same[0], peer)
			}
		}
	}
	for _, two := range [][2]logs.Peer{
		{logs.Of("", "2001:db8::1"), logs.Of("", "2001:db8:0:1::1")},
		{logs.Of("", "192.0.2.1"), logs.Of("", "192.0.2.2")},
		{logs.Of("192.0.2.1", ""), logs.Of("", "192.0.2.1")},
		{logs.Of("", "::1"), logs.Of("", "127.0.0.1")},
	} {
		if two[0] == two[1] {
			t.Errorf("%v is only one", two[0])
		}
	}
}

// TestLines: what a library writes is sampled as well.
func TestLines(t *testing.T) {
	t.Parallel()
	b := newBook()
	s := logs.NewSampler(slog.New(b), logs.Options{Burst: 3, Rate: 1e-9})
	library := log.New(s.Lines(slog.LevelWarn, "http"), "", 0)
	for range 5 {
		library.Print("bad request")
	}
	if b.lines(`level=WARN msg="bad request"`) != 3 || b.left["http"] != 2 {
		t.Errorf("left out %v, the log is\n%s", b.left, b.text.String())
	}
}

func BenchmarkAllow(b *testing.B) {
	s := logs.NewSampler(slog.New(slog.NewTextHandler(io.Discard, nil)), logs.Options{})
	b.ReportAllocs()
	for b.Loop() {
		s.Allow("ended", logs.Of("", "192.0.2.1:1000"))
	}
}
