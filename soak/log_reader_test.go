//go:build soak

package soak

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/zioflow/gateway/broker/zio"
)

// stopsWithin is how long SIGTERM may take: what stops has four seconds for it.
const stopsWithin = 5 * time.Second

// TestLogReader has who reads the gateway's log stand still, or go away, while there is
// much to log: flows keep their rate, what is not logged is counted, and SIGTERM is
// heeded. The rate is compared with that of a second gateway with the same load at the
// same time, whose log is read.
func TestLogReader(t *testing.T) {
	t.Run("stands still", func(t *testing.T) {
		testLogReader(t, func(*os.File) {})
	})
	t.Run("goes away", func(t *testing.T) {
		testLogReader(t, func(r *os.File) { _ = r.Close() })
	})
}

// testLogReader has the reader do that from some time on, and read no more.
func testLogReader(t *testing.T, leave func(*os.File)) {
	g, reader := startLoggingToPipe(t)
	control := startGateway(t, "--log-level=debug")
	var (
		moved [2]atomic.Int64
		lines atomic.Int64
		done  = make(chan struct{})
		wait  sync.WaitGroup
	)
	for i, d := range []*desk{openDesk(t, g), openDesk(t, control)} {
		for n := range 9 {
			if err := bustle(d, transports[n%3], transports[n/3], &moved[i], done, &wait); err != nil {
				t.Fatal(err)
			}
		}
		wait.Go(func() { chatter(t, d.gateway, &lines, done) })
	}
	window := lasting(30*time.Second, 3*time.Second)
	time.Sleep(window / 10) // warm up
	before := rates(&moved, window)
	if err := reader.stop(); err != nil {
		t.Fatal(err)
	}
	leave(reader.file)
	untilLinesAreLost(t, g)
	wrong := lines.Load()
	during := rates(&moved, window)
	wrong = lines.Load() - wrong
	lost := metric(t, g, linesLost)
	fresh := 0
	for _, via := range transports {
		if _, err := freshFlow(g, via); err != nil {
			t.Errorf("a fresh flow via %s: %v", via, err)
		}
		fresh++
	}
	close(done)
	wait.Wait()
	took := terminate(t, g)

	kept := during[0] / during[1] * before[1] / before[0]
	report(t, "flows keep ≥ 90 % of their rate; SIGTERM ≤ "+stopsWithin.String()+"; lines that are lost are counted",
		"%.0f %%: %.0f/s (control %.0f/s) before, %.0f/s (control %.0f/s) for %v without a reader, with %d wrong BOTs; %d fresh flows; %.0f lines lost, %d read before; SIGTERM took %v",
		100*kept, before[0], before[1], during[0], during[1], window, wrong, fresh, lost, reader.lines.Load(), brief(took))
	if kept < 0.9 {
		t.Errorf("flows kept %.0f %% of their rate", 100*kept)
	}
	if took > stopsWithin {
		t.Errorf("SIGTERM took %v", took)
	}
}

const linesLost = "zio_gateway_log_dropped_total"

// untilLinesAreLost waits until the gateway has no room for what it would log.
func untilLinesAreLost(t *testing.T, g *gateway) {
	t.Helper()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for deadline := time.Now().Add(patience); metric(t, g, linesLost) == 0; <-ticker.C {
		if time.Now().After(deadline) {
			t.Fatal("no line is lost: this shows nothing, or nobody counts")
		}
	}
}

// startLoggingToPipe starts a gateway whose log is read through a pipe.
func startLoggingToPipe(t *testing.T) (*gateway, *logReader) {
	t.Helper()
	binary, err := plainBinary()
	if err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	reader := &logReader{file: r, ended: make(chan struct{})}
	go reader.read()
	g := startInto(t, w, binary, "--log-level=debug")
	t.Cleanup(func() { _ = r.Close() })
	if err := w.Close(); err != nil { // the gateway has its own
		t.Fatal(err)
	}
	return g, reader
}

// logReader reads a log, until it stops.
type logReader struct {
	file  *os.File
	lines atomic.Int64
	ended chan struct{} // closed when it reads no more
}

func (r *logReader) read() {
	defer close(r.ended)
	for in := bufio.NewReader(r.file); ; r.lines.Add(1) {
		if _, err := in.ReadString('\n'); err != nil {
			return
		}
	}
}

// stop returns when it reads no more. The file stays open.
func (r *logReader) stop() error {
	err := r.file.SetReadDeadline(time.Unix(1, 0))
	<-r.ended
	return err
}

// chatterBatch is how many wrong BOTs come on one connection.
const chatterBatch = 20

// chatter has the gateway log much, more than its sampler lets through: wrong BOTs, from
// many addresses, 2,000 a second where the machine can.
func chatter(t *testing.T, g *gateway, count *atomic.Int64, done <-chan struct{}) {
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for i := 0; ; i++ {
		select {
		case <-ticker.C:
		case <-done:
			return
		}
		if err := wrongBots(g, i); err != nil {
			t.Errorf("wrong BOTs, connection %d: %v", i, err)
			return
		}
		count.Add(chatterBatch)
	}
}

func wrongBots(g *gateway, i int) error {
	via := []transport{viaClient, viaDealer}[i%2]
	p, err := dialWire(via, g.addresses[via], i)
	if err != nil {
		return err
	}
	defer p.close()
	for range chatterBatch {
		if err := p.send(flowMessage(`{"flow":"BOT","direction":"sideways","credit":1}`)); err != nil {
			return err
		}
	}
	for range chatterBatch {
		if err := wantOwnEOT(p); err != nil {
			return err
		}
	}
	return nil
}

func wantOwnEOT(p peer) error {
	m, err := p.recv(patience)
	if err == nil && (m.Type != zio.EOT || m.end.Reason == "") {
		err = fmt.Errorf("was answered by %s", m.Label)
	}
	return err
}

// metric is what the gateway says of itself, by that name.
func metric(t *testing.T, g *gateway, name string) float64 {
	t.Helper()
	client := http.Client{Timeout: patience}
	response, err := client.Get("http://" + g.http + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, is := strings.CutPrefix(line, name+" "); is {
			value, err := strconv.ParseFloat(strings.TrimSpace(rest), 64)
			if err != nil {
				t.Fatal(err)
			}
			return value
		}
	}
	t.Fatalf("there is no %s", name)
	return 0
}

// terminate stops the gateway by SIGTERM, which has to be in good order, and takes the
// time.
func terminate(t *testing.T, g *gateway) time.Duration {
	t.Helper()
	began := time.Now()
	if err := g.command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-g.exited:
		g.exited = nil
		if err != nil {
			t.Errorf("after SIGTERM: %v", err)
		}
	case <-time.After(patience):
		t.Fatal("the gateway does not heed SIGTERM") // stop sees to it
	}
	return time.Since(began)
}
