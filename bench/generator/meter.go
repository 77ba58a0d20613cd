package generator

import (
	"bufio"
	"fmt"
	"io"
	"sync/atomic"
	"time"
)

// Meter times the middle eight tenths of all messages. Tally may be called
// concurrently.
type Meter struct {
	taken        atomic.Int64
	from, to     int64
	began, ended time.Time // each written once, read when all is over
}

// NewMeter is for so many messages in all.
func NewMeter(total int64) *Meter {
	return &Meter{from: max(1, total/10), to: total - total/10}
}

// Tally counts a message taken.
func (m *Meter) Tally() {
	n := m.taken.Add(1)
	if n == m.from {
		m.began = time.Now()
	}
	if n == m.to {
		m.ended = time.Now()
	}
}

// Report prints what was timed, and then each sample of latency; called when all
// is over.
func (m *Meter) Report(w io.Writer, samples ...[]time.Duration) error {
	out := bufio.NewWriter(w) // keeps the error for Flush
	_, _ = fmt.Fprintln(out, max(0, m.to-m.from), m.ended.Sub(m.began).Nanoseconds())
	for _, some := range samples {
		for _, sample := range some {
			_, _ = fmt.Fprintln(out, sample.Nanoseconds())
		}
	}
	return out.Flush()
}
