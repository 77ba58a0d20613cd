package transfer

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	zioflow "github.com/zioflow/gateway/clients/go"
)

// note tells something on standard error that is no result.
func note(format string, arguments ...any) {
	_, _ = fmt.Fprintf(os.Stderr, "gateway: "+format+"\n", arguments...)
}

// meter counts what crosses, and shows it on standard error where that is a terminal. One
// goroutine uses it.
type meter struct {
	messages, bytes uint64
	begin           time.Time
	bar             *progressbar.ProgressBar // nil where nobody looks
}

// newMeter begins; total is how many bytes are to cross, below 0 if nobody knows.
func newMeter(did string, total int64) *meter {
	m := newCounter()
	if !term.IsTerminal(int(os.Stderr.Fd())) {
		return m
	}
	m.bar = progressbar.NewOptions64(total,
		progressbar.OptionSetWriter(os.Stderr), progressbar.OptionSetDescription(did), progressbar.OptionShowBytes(true),
		progressbar.OptionShowCount(), progressbar.OptionShowTotalBytes(true), progressbar.OptionSetPredictTime(true), progressbar.OptionShowElapsedTimeOnFinish(),
		progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionSetWidth(20), progressbar.OptionClearOnFinish(),
		progressbar.OptionSpinnerType(14))
	return m
}

// newCounter is a meter that shows nothing.
func newCounter() *meter { return &meter{begin: time.Now()} }

// add counts a message.
func (m *meter) add(dat zioflow.Dat) {
	m.messages++
	n := sizeOf(dat)
	m.bytes += uint64(n)
	if m.bar != nil {
		_ = m.bar.Add(n)
	}
}

// hide takes the bar from the terminal, so that other lines can be written.
func (m *meter) hide() {
	if m.bar != nil {
		_ = m.bar.Clear()
	}
}

func sizeOf(dat zioflow.Dat) int {
	n := 0
	for _, part := range dat.Payload {
		n += len(part)
	}
	return n
}

// report is what came of a command.
type report struct {
	Via      string  `json:"via"`
	Did      string  `json:"did"`
	Messages uint64  `json:"messages"`
	Bytes    uint64  `json:"bytes"`
	Files    int     `json:"files,omitempty"`
	Seconds  float64 `json:"seconds"`
}

// report is what has been counted so far.
func (m *meter) report(via, did string, files int) report {
	return report{via, did, m.messages, m.bytes, files, time.Since(m.begin).Seconds()}
}

// print writes it for people, or as JSON.
func (r report) print(w io.Writer, asJSON bool) {
	if asJSON {
		_ = json.NewEncoder(w).Encode(r)
		return
	}
	seconds := max(r.Seconds, 1e-9)
	files := ""
	if r.Files > 0 {
		files = fmt.Sprintf(" of %s", count(r.Files, "file"))
	}
	_, _ = fmt.Fprintf(w, "%-10s %s %d messages%s, %d bytes, in %v (%.0f/s, %.1f MB/s)\n", r.Via, r.Did, r.Messages, files, r.Bytes,
		time.Duration(seconds*float64(time.Second)).Round(time.Millisecond), float64(r.Messages)/seconds, float64(r.Bytes)/seconds/1e6)
}

// count is a number of things in words.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
