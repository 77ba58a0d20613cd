package access

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/MicahParks/keyfunc/v3"
	"golang.org/x/time/rate"
)

const (
	// fetchTimeout bounds every request to an issuer.
	fetchTimeout = 3 * time.Second
	// refetch is how often, at most, an issuer is asked because of a key that is
	// not known, or because it did not answer.
	refetch = 10 * time.Second
	// refresh is how often its keys are asked for anew, so that what it has
	// withdrawn is forgotten.
	refresh = 15 * time.Minute
)

// keySource knows an issuer's keys. They are fetched when they are first needed.
// Its methods may be called concurrently.
type keySource struct {
	issuer, jwks string
	client       *http.Client
	live         context.Context // ends with close, and with it the refreshing
	close        context.CancelFunc

	mu    sync.Mutex      // held while fetching: the others want the same
	keys  keyfunc.Keyfunc // guarded by mu; nil until fetched
	tried time.Time       // guarded by mu
	err   error           // guarded by mu; of that try
}

// newKeySource takes the keys from that URL, or from the one that the issuer
// tells if it is empty.
func newKeySource(issuer, jwks string) *keySource {
	s := &keySource{issuer: issuer, jwks: jwks}
	s.client = &http.Client{Timeout: fetchTimeout, Transport: &http.Transport{
		Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true,
	}}
	s.live, s.close = context.WithCancel(context.Background())
	return s
}

// get answers the keys, or why they can't be had.
func (s *keySource) get() (keyfunc.Keyfunc, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.keys == nil && time.Since(s.tried) >= refetch {
		s.keys, s.err = s.fetch()
		s.tried = time.Now()
	}
	return s.keys, s.err
}

func (s *keySource) fetch() (keys keyfunc.Keyfunc, err error) {
	at := s.jwks
	if at == "" {
		if at, err = s.discover(); err != nil {
			return nil, fmt.Errorf("issuer %s: %w", s.issuer, err)
		}
	}
	live, giveUp := context.WithCancel(s.live)
	defer func() {
		if err != nil {
			giveUp() // it would go on refreshing
		}
	}()
	strict := false
	keys, err = keyfunc.NewDefaultOverrideCtx(live, []string{at}, keyfunc.Override{
		Client: s.client, HTTPTimeout: fetchTimeout, NoErrorReturnFirstHTTPReq: &strict,
		RefreshInterval: refresh, RefreshUnknownKID: rate.NewLimiter(rate.Every(refetch), 1),
		RateLimitWaitMax: fetchTimeout,
		// What can't be refreshed stays as it is, and who is not known is told so.
		RefreshErrorHandlerFunc: func(string) func(context.Context, error) { return func(context.Context, error) {} },
	})
	if err != nil {
		return nil, fmt.Errorf("issuer %s: keys at %s: %w", s.issuer, at, err)
	}
	return keys, nil
}

// discover asks the issuer where its keys are (OpenID Connect Discovery 1.0).
func (s *keySource) discover() (string, error) {
	at := strings.TrimSuffix(s.issuer, "/") + "/.well-known/openid-configuration"
	request, err := http.NewRequestWithContext(s.live, http.MethodGet, at, nil)
	if err != nil {
		return "", err
	}
	response, err := s.client.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }() // it was only read
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s answers %s", at, response.Status)
	}
	var document struct {
		Issuer string `json:"issuer"`
		JWKS   string `json:"jwks_uri"`
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, 1<<20)).Decode(&document); err != nil {
		return "", fmt.Errorf("%s: %w", at, err)
	}
	if document.Issuer != s.issuer {
		return "", fmt.Errorf("%s is for the issuer %q", at, document.Issuer)
	}
	if document.JWKS == "" {
		return "", errors.New(at + " has no jwks_uri")
	}
	return document.JWKS, checkURL(document.JWKS)
}
