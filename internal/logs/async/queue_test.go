package async_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zioflow/gateway/internal/logs/async"
)

func textTo(w io.Writer) slog.Handler { return slog.NewTextHandler(w, nil) }

// missing adds up what the log says is missing, and counts its other lines.
func missing(t *testing.T, log string) (missing uint64, lines int) {
	t.Helper()
	for line := range strings.Lines(log) {
		if _, said, ok := strings.Cut(line, `msg="log lines dropped: they were not read in time" `); ok {
			var n uint64
			if _, err := fmt.Sscanf(said, "lines=%d", &n); err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			missing += n
		} else {
			lines++
		}
	}
	return missing, lines
}

// TestReaderStandsStill: nobody who writes waits for a reader who does not read,
// and when he reads again he is told what he has missed.
func TestReaderStandsStill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		q := async.Open(w, textTo)
		const writers, each = 4, 10_000
		var all sync.WaitGroup
		for range writers {
			all.Go(func() {
				for i := range each {
					if n, err := fmt.Fprintf(q, "line %d\n", i); n == 0 || err != nil {
						t.Errorf("%d, %v", n, err)
					}
				}
			})
		}
		all.Wait() // in spite of the pipe, which has no room at all
		dropped := q.Dropped()
		if dropped == 0 || dropped >= writers*each {
			t.Fatalf("of %d lines %d were dropped", writers*each, dropped)
		}
		read := make(chan string)
		go func() {
			text, _ := io.ReadAll(r)
			read <- string(text)
		}()
		synctest.Wait()
		_, _ = q.Write([]byte("the last line\n"))
		q.Close(time.Minute)
		_ = w.Close()
		log := <-read
		told, lines := missing(t, log)
		if told != dropped || uint64(lines) != writers*each-dropped+1 || q.Dropped() != dropped {
			t.Errorf("%d lines dropped, the log tells of %d and has %d others", dropped, told, lines)
		}
		if !strings.HasSuffix(log, "the last line\n") {
			t.Errorf("the log ends with %q", log[max(0, len(log)-200):])
		}
	})
}

// TestBounded: neither many lines nor large ones take more memory than the bounds.
func TestBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, size := range []int{2, 1000, 16 << 10, 20 << 20} {
			var out bytes.Buffer
			gate := &gated{to: &out, open: make(chan struct{})}
			q := async.Open(gate, nil)
			line := append(bytes.Repeat([]byte("x"), size-1), '\n')
			_, _ = q.Write([]byte("first\n"))
			synctest.Wait() // it stands at the gate
			for range 5000 {
				if n, err := q.Write(line); n != len(line) || err != nil {
					t.Fatal(n, err)
				}
			}
			close(gate.open)
			q.Close(time.Minute)
			lines := bytes.Count(out.Bytes(), []byte("\n"))
			if out.Len() > 513<<10 || lines > 4097 || lines < 30 || uint64(5001-lines) != q.Dropped() {
				t.Errorf("of 5,000 lines of %d bytes %d were written, %d bytes; %d dropped", size, lines, out.Len(), q.Dropped())
			}
			longest, _, _ := bufio.NewReader(bytes.NewReader(out.Bytes()[len("first\n"):])).ReadLine()
			if size > 16<<10 && !bytes.HasSuffix(out.Bytes(), []byte("x…\n")) || len(longest) > 16<<10 {
				t.Errorf("a line of %d bytes became one of %d", size, len(longest))
			}
		}
	})
}

// gated is a writer that waits until it is open.
type gated struct {
	to   io.Writer
	open chan struct{}
}

func (g *gated) Write(p []byte) (int, error) {
	<-g.open
	return g.to.Write(p)
}

// TestReaderGone: lines that cannot be written are counted, and that is all.
func TestReaderGone(t *testing.T) {
	t.Parallel()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = w.Close() }()
	_ = r.Close()
	q := async.Open(w, textTo)
	for range 3 {
		_, _ = q.Write([]byte("nobody reads this\n"))
	}
	q.Close(time.Minute)
	_, _ = q.Write([]byte("nor this, after the end\n"))
	if q.Dropped() != 4 {
		t.Errorf("%d lines were dropped, want 4", q.Dropped())
	}
}

// faulty is a file that fails with one error after another, and then takes what
// comes. Before an error it takes 3 bytes.
type faulty struct {
	errs []error
	got  bytes.Buffer
}

func (f *faulty) Write(p []byte) (int, error) {
	if len(f.errs) == 0 {
		return f.got.Write(p)
	}
	err := f.errs[0]
	f.errs = f.errs[1:]
	n, _ := f.got.Write(p[:min(3, len(p))])
	return n, err
}

// TestDiskFull: when there is room again the log goes on, on a line of its own, and
// says what is missing.
func TestDiskFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := &faulty{errs: []error{syscall.ENOSPC, syscall.ENOSPC, syscall.EIO}}
		q := async.Open(file, textTo)
		for i := range 4 {
			_, _ = fmt.Fprintf(q, "line %d\n", i)
			synctest.Wait()
		}
		q.Close(time.Minute)
		log := file.got.String()
		told, _ := missing(t, log)
		if told != 2 || q.Dropped() != 2 || !strings.Contains(log, "\nline 2\n") || !strings.HasPrefix(log, "lin\n") {
			t.Errorf("%d dropped, the log is\n%s", q.Dropped(), log)
		}
	})
}

// TestFileThatDoesNotWait: what a file has no room for now it is given again.
func TestFileThatDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := &faulty{errs: []error{syscall.EAGAIN, syscall.EAGAIN}}
		q := async.Open(file, textTo)
		_, _ = q.Write([]byte("a whole line\n"))
		q.Close(time.Minute) // which gives the file time
		if file.got.String() != "a whole line\n" || q.Dropped() != 0 {
			t.Errorf("%d dropped, the log is %q", q.Dropped(), file.got.String())
		}
	})
}

// TestFileThatNeverHasRoom: it is not tried for ever.
func TestFileThatNeverHasRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := async.Open(fullFile{}, textTo)
		_, _ = q.Write([]byte("line\n"))
		q.Close(time.Second)
		synctest.Wait()
		if q.Dropped() != 1 {
			t.Errorf("%d lines were dropped, want 1", q.Dropped())
		}
	})
}

type fullFile struct{}

func (fullFile) Write([]byte) (int, error) { return 0, syscall.EAGAIN }

// TestCloseIsBounded: a reader who stands still holds up nobody's exit.
func TestCloseIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		q := async.Open(w, textTo)
		_, _ = q.Write([]byte("line\n"))
		began := time.Now()
		q.Close(time.Second)
		q.Close(time.Second)
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("it took %v", took)
		}
		_ = r.Close()
	})
}

func BenchmarkWrite(b *testing.B) {
	q := async.Open(io.Discard, textTo)
	log := slog.New(textTo(q))
	b.ReportAllocs()
	for b.Loop() {
		log.Info("flow ended", "flow", 17, "reason", "completed", "detail", "", "client", "zmq-server 127.0.0.1", "bytes", 12345)
	}
	q.Close(time.Second)
}
