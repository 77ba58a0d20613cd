package jwks

import (
	"context"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	// fetchTimeout bounds a fetch of an issuer's keys, with all its requests.
	fetchTimeout = 5 * time.Second
	// refetch is how often, at most, an issuer is asked because of a key that is
	// not known, or because it could not be asked before.
	refetch = 10 * time.Second
	// refresh is how often its keys are asked for anew, so that what it has
	// withdrawn is forgotten; retry is when, if that has failed.
	refresh, retry = 15 * time.Minute, time.Minute
)

// Fetch is an attempt to fetch an issuer's keys.
type Fetch struct {
	Issuer string
	// Err is why it has failed; then the keys of before stay in use.
	Err error
	// Keys is how many are in use now, Refused how many of the issuer's are not, as
	// they are for something else.
	Keys, Refused int
	// Recovered says that the attempt before had failed.
	Recovered bool
}

// Source knows an issuer's keys. They are fetched when they are first needed, by one
// at a time, and nobody holds a lock meanwhile. Its methods may be called concurrently.
type Source struct {
	issuer, jwks string
	load         func(context.Context) (keys Set, refused int, err error)
	report       func(Fetch)     // nil for nobody
	live         context.Context // ends with Close
	cancel       context.CancelFunc
	working      sync.WaitGroup // fetches, and the refreshing

	unknown *rate.Limiter // of fetches for a key that is not known

	mu     sync.Mutex
	closed bool          // guarded by mu
	keys   Set           // guarded by mu; nil until fetched
	tried  time.Time     // guarded by mu; when the last fetch has begun
	err    error         // guarded by mu; of the last fetch
	flight chan struct{} // guarded by mu; closed when the fetch under way is over; nil without
}

// NewSource takes the keys from that URL, or from the one that the issuer
// tells if it is empty.
func NewSource(issuer, jwks string) *Source {
	s := &Source{issuer: issuer, jwks: jwks, unknown: rate.NewLimiter(rate.Every(refetch), 1)}
	s.load = func(ctx context.Context) (Set, int, error) { return fetchKeys(ctx, issuer, jwks) }
	s.live, s.cancel = context.WithCancel(context.Background())
	return s
}

// Report has a function told of every attempt to fetch the keys. It is called before the
// first use.
func (s *Source) Report(report func(Fetch)) { s.report = report }

// URL is where the keys are; empty if the issuer is asked for it.
func (s *Source) URL() string { return s.jwks }

// Close breaks off what is under way, and waits for it. There may be no keys after it.
func (s *Source) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.cancel()
	s.working.Wait()
}

// Get returns the keys, or why there are none. It waits for them only if none fits, and
// as long as ctx lasts: the fetch goes on, as others wait for it as well. A stranger who
// asks and leaves so cannot spoil the one attempt that there is in a while.
func (s *Source) Get(ctx context.Context, kid, alg string) (Set, error) {
	keys, flight, err := s.ask(kid, alg)
	if flight == nil {
		return keys, err
	}
	select {
	case <-flight:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.inUse()
}

// ask returns what to wait for; nil if the keys in use must do.
func (s *Source) ask(kid, alg string) (Set, chan struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.keys.Fitting(kid, alg)) == 0 {
		if s.flight == nil && s.mayTry() {
			s.start()
		}
		if s.flight != nil {
			return nil, s.flight, nil
		}
	}
	keys, err := s.inUse()
	return keys, nil, err
}

// mayTry tells whether somebody's key is a reason to ask the issuer now. s.mu is held.
func (s *Source) mayTry() bool {
	if s.keys == nil {
		return s.tried.IsZero() || time.Since(s.tried) >= refetch
	}
	return s.unknown.Allow()
}

// inUse are the last keys that could be had, however long ago. s.mu is held.
func (s *Source) inUse() (Set, error) {
	if s.keys != nil {
		return s.keys, nil
	}
	return nil, s.err
}

// start begins a fetch, unless the source is closed. s.mu is held, and there is no flight.
func (s *Source) start() {
	if s.closed {
		s.err = context.Canceled
		return
	}
	s.tried, s.flight = time.Now(), make(chan struct{})
	s.working.Go(s.fetch)
}

// fetch is one flight.
func (s *Source) fetch() {
	ctx, cancel := context.WithTimeout(s.live, fetchTimeout)
	defer cancel()
	keys, refused, err := s.load(ctx)
	if s.live.Err() != nil {
		err = context.Canceled // nobody is to hear of it
	}
	attempt := s.land(keys, err)
	attempt.Refused = refused
	if s.report != nil && s.live.Err() == nil {
		s.report(attempt)
	}
}

// land ends a flight with what came of it.
func (s *Source) land(keys Set, err error) Fetch {
	s.mu.Lock()
	defer s.mu.Unlock()
	attempt := Fetch{Issuer: s.issuer, Err: err, Recovered: err == nil && s.err != nil}
	if s.err = err; err == nil {
		if s.keys == nil {
			s.working.Go(s.refresh)
		}
		s.keys = keys
	}
	attempt.Keys = len(s.keys)
	close(s.flight)
	s.flight = nil
	return attempt
}

// refresh has the keys fetched anew until the source is closed.
func (s *Source) refresh() {
	next := time.NewTimer(refresh)
	defer next.Stop()
	for {
		select {
		case <-s.live.Done():
			return
		case <-next.C:
		}
		wait := refresh
		if s.Again() != nil {
			wait = retry
		}
		next.Reset(wait)
	}
}

// Again waits for a fetch, and returns why it has failed.
func (s *Source) Again() error {
	s.mu.Lock()
	if s.flight == nil {
		s.start()
	}
	flight := s.flight
	s.mu.Unlock()
	if flight != nil {
		<-flight // it ends with s.live, if not before
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}
