package guard

import (
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/zioflow/gateway/cluster"
	"github.com/zioflow/gateway/gateway/config"
	"github.com/zioflow/gateway/internal/pki"
	"github.com/zioflow/gateway/internal/wholefile"
	"github.com/zioflow/gateway/telemetry"
)

const (
	// renewWithin is how long before its end a certificate is to be renewed; for one that
	// is valid for less than three times as long, a third of that.
	renewWithin = 30 * 24 * time.Hour
	// remindAfter is how often that is said.
	remindAfter = 24 * time.Hour
	// lookAtCertificates is how often the time is compared with theirs, as a machine's
	// clock may be set, and it may sleep.
	lookAtCertificates = 10 * time.Minute
	// watchedCertificates bounds those of a file: metrics have a series of each.
	watchedCertificates = 32
)

// validity is that of a certificate in use.
type validity struct {
	telemetry.Certificate
	file string
	// vital: without a valid one of the same option, gRPC serves nobody.
	vital bool
}

// validities are those of the certificates by which gRPC serves: its own, and those of the
// file of its clients' authorities.
func validities(s *config.Security, own *x509.Certificate) (all []validity, err error) {
	all = append(all, validityOf("tls-cert", s.TLSCert, true, own))
	if s.TLSClientCA == "" {
		return all, nil
	}
	text, err := wholefile.Read(s.TLSClientCA, wholefile.Keys)
	if err != nil {
		return nil, err
	}
	authorities, err := pki.Certificates(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.TLSClientCA, err)
	}
	return append(all, watched(s, authorities)...), nil
}

// watched are the authorities to look at.
func watched(s *config.Security, authorities []*x509.Certificate) (all []validity) {
	for _, c := range first(authorities) {
		all = append(all, validityOf("tls-client-ca", s.TLSClientCA, !s.TLSClientOptional, c))
	}
	return all
}

// first are those that expire first, each once.
func first(authorities []*x509.Certificate) []*x509.Certificate {
	authorities = slices.SortedStableFunc(slices.Values(authorities), func(a, b *x509.Certificate) int { return a.NotAfter.Compare(b.NotAfter) })
	authorities = slices.CompactFunc(authorities, (*x509.Certificate).Equal)
	return authorities[:min(len(authorities), watchedCertificates)]
}

// ofCluster are those by which the gateway is a node: its own, and its cluster's authorities.
// Without valid ones it serves clients all the same.
func ofCluster(folder string, k *cluster.Keys) []validity {
	files := cluster.KeyFiles(folder)
	all := []validity{validityOf("cluster-keys", files[1], false, k.Node)}
	for _, c := range first(k.Authorities) {
		all = append(all, validityOf("cluster-keys", files[0], false, c))
	}
	return all
}

func validityOf(option, file string, vital bool, c *x509.Certificate) validity {
	return validity{telemetry.Certificate{
		Option: option, Subject: c.Subject.String(), Serial: c.SerialNumber.Text(16), NotBefore: c.NotBefore, NotAfter: c.NotAfter,
	}, file, vital}
}

// dueAt is when it is to be renewed.
func (v *validity) dueAt() time.Time {
	return v.NotAfter.Add(-min(renewWithin, v.NotAfter.Sub(v.NotBefore)/3))
}

func (v *validity) valid(now time.Time) bool { return now.After(v.NotBefore) && now.Before(v.NotAfter) }

// state is what is wrong with it, in words; empty if nothing is. Strangers may read it.
func (v *validity) state(now time.Time) string {
	at := func(t time.Time) string { return t.UTC().Format(time.RFC3339) }
	switch {
	case !now.Before(v.NotAfter):
		return fmt.Sprintf("certificate of --%s has expired at %s", v.Option, at(v.NotAfter))
	case !now.After(v.NotBefore):
		return fmt.Sprintf("certificate of --%s is not valid before %s", v.Option, at(v.NotBefore))
	case !now.Before(v.dueAt()):
		return fmt.Sprintf("certificate of --%s expires at %s", v.Option, at(v.NotAfter))
	}
	return ""
}

// Expiry tells of certificates that are about to expire, or have. Its methods may be
// called concurrently.
type Expiry struct {
	log *slog.Logger

	mu  sync.Mutex
	all []validity // guarded by mu
	// said is when a line has told of a state: another state has its line at once.
	said map[string]time.Time // guarded by mu
}

func newExpiry(log *slog.Logger) *Expiry { return &Expiry{log: log, said: map[string]time.Time{}} }

// use takes others in the place of those there were, and tells of them at once.
func (e *Expiry) use(all []validity) {
	e.mu.Lock()
	e.all = all
	e.mu.Unlock()
	e.remind(time.Now())
}

// run looks at them until the context ends.
func (e *Expiry) run(ctx context.Context) {
	ticker := time.NewTicker(lookAtCertificates)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			e.remind(now)
		}
	}
}

// remind logs what is wrong, unless it has done so within remindAfter.
func (e *Expiry) remind(now time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	said := map[string]time.Time{} // without what is no longer so
	for _, v := range e.all {
		state := v.state(now)
		if state == "" {
			continue
		}
		key := v.Option + v.Serial + state
		if last, already := e.said[key]; already && now.Sub(last) < remindAfter {
			said[key] = last
			continue
		}
		said[key] = now
		level := slog.LevelWarn
		if !v.valid(now) {
			level = slog.LevelError
		}
		e.log.Log(context.Background(), level, state, "file", v.file, "subject", v.Subject, "serial", v.Serial)
	}
	e.said = said
}

// list is what metrics show.
func (e *Expiry) list() (all []telemetry.Certificate) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, v := range e.all {
		all = append(all, v.Certificate)
	}
	return all
}

// NotReady is why gRPC can serve nobody, in words; empty if it can. Strangers may read it.
func (e *Expiry) NotReady() string {
	now := time.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	valid := map[string]bool{}
	for _, v := range e.all {
		valid[v.Option] = valid[v.Option] || v.valid(now)
	}
	return e.words(now, func(v *validity) bool { return v.vital && !valid[v.Option] })
}

// Soon is what is to be renewed, or should have been, in words; empty if nothing is.
// Strangers may read it.
func (e *Expiry) Soon() string {
	now := time.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.words(now, func(*validity) bool { return true })
}

// words has a line for the state of each that is meant. e.mu is held.
func (e *Expiry) words(now time.Time, meant func(*validity) bool) string {
	var lines []string
	for i := range e.all {
		if state := e.all[i].state(now); state != "" && meant(&e.all[i]) {
			lines = append(lines, state)
		}
	}
	return strings.Join(slices.Compact(lines), "\n")
}
