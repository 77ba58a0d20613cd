// Package logs bounds what others can make a program log. It does no I/O of its
// own: package async has the queue through which lines are written.
package logs

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// Options bound the lines of one kind. What is 0 has its default.
type Options struct {
	// Burst is how many lines a peer may cause at once, 100 by default, and Rate
	// how many a second after that, 10.
	Burst, Rate float64
	// TotalBurst and TotalRate are the same for all peers of one sort together,
	// 5,000 and 1,000: strangers are one sort, those with a proved name the other,
	// so that neither takes the lines of the other.
	TotalBurst, TotalRate float64
	// Quiet is after how long without a line a peer has one in any case, whatever
	// all others do; 10 s.
	Quiet time.Duration
	// Peers is how many of each sort are remembered, 1,024. More than that share
	// what one peer may have, while none of those can be forgotten.
	Peers int
}

// Seldom are those for what somebody does again and again who has been told once, such as to
// connect with a certificate that is not taken: a line, and another every ten minutes.
func Seldom() Options {
	const again = 10 * time.Minute
	return Options{Burst: 1, Rate: 1 / again.Seconds(), Quiet: again}
}

func (o *Options) setDefaults() {
	for value, otherwise := range map[*float64]float64{
		&o.Burst: 100, &o.Rate: 10, &o.TotalBurst: 5000, &o.TotalRate: 1000,
	} {
		if *value == 0 {
			*value = otherwise
		}
	}
	if o.Quiet == 0 {
		o.Quiet = 10 * time.Second
	}
	if o.Peers == 0 {
		o.Peers = 1024
	}
}

// Counter is implemented by the log's handler if it wants to count the lines that
// a Sampler leaves out. Its method is called concurrently, and must not block.
type Counter interface {
	Suppressed(kind string)
}

// Sampler writes to a log the lines that peers can cause: so many for each kind of
// line and each peer. It counts those that it leaves out, and says how many they
// were in the next line of that kind and peer. Kinds are few, and constants; they
// do not touch each other. A Sampler's memory is bounded, by some 300 bytes for
// each of the Options' Peers, kind and sort. Its methods may be called
// concurrently, also with locks held: they do not wait for I/O unless the log's
// handler does.
type Sampler struct {
	log     *slog.Logger
	options Options
	counter Counter // nil if nobody counts

	mu    sync.Mutex
	kinds map[string]*[2]*crowd // guarded by mu, and all in it; strangers, and those who are known
}

// NewSampler makes a sampler that writes to log; nil for none.
func NewSampler(log *slog.Logger, o Options) *Sampler {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	o.setDefaults()
	s := &Sampler{log: log, options: o, kinds: map[string]*[2]*crowd{}}
	s.counter, _ = log.Handler().(Counter)
	return s
}

// Allow tells whether a line of that kind about that peer may be written now, and
// if so how many were left out since the one before.
func (s *Sampler) Allow(kind string, peer Peer) (suppressed int, ok bool) {
	suppressed, ok = s.take(kind, peer, time.Now())
	if !ok && s.counter != nil {
		s.counter.Suppressed(kind)
	}
	return suppressed, ok
}

func (s *Sampler) take(kind string, peer Peer, now time.Time) (suppressed int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	crowds := s.kinds[kind]
	if crowds == nil {
		crowds = &[2]*crowd{newCrowd(), newCrowd()}
		s.kinds[kind] = crowds
	}
	c := crowds[0]
	if peer.known {
		c = crowds[1]
	}
	return c.take(peer.key, now, &s.options)
}

// Enabled tells whether lines of that level are written at all.
func (s *Sampler) Enabled(ctx context.Context, level slog.Level) bool {
	return s.log.Enabled(ctx, level)
}

// Log writes a line as slog's Logger does, if the kind and the peer have one left.
// After others were left out it has the attribute "suppressed", their number.
func (s *Sampler) Log(ctx context.Context, level slog.Level, kind string, peer Peer, message string, arguments ...any) {
	if !s.log.Enabled(ctx, level) {
		return
	}
	suppressed, ok := s.Allow(kind, peer)
	if !ok {
		return
	}
	if suppressed > 0 {
		arguments = append(arguments[:len(arguments):len(arguments)], slog.Int("suppressed", suppressed))
	}
	s.log.Log(ctx, level, message, arguments...)
}

// Lines is for libraries that want to write their lines themselves: each Write is
// one, of nobody in particular.
func (s *Sampler) Lines(level slog.Level, kind string) io.Writer { return lines{s, level, kind} }

type lines struct {
	sampler *Sampler
	level   slog.Level
	kind    string
}

func (l lines) Write(line []byte) (int, error) {
	l.sampler.Log(context.Background(), l.level, l.kind, Peer{}, strings.TrimSpace(string(line)))
	return len(line), nil
}
