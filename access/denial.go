package access

import (
	"log/slog"
	"sync"
	"time"
)

// Cause is why somebody was not let in, or not allowed something, in one word.
type Cause string

// The causes. Those of refused BOTs are the broker's.
const (
	// NoCredentials: neither token nor certificate was shown.
	NoCredentials Cause = "no_credentials"
	// NoCertificate: the TLS handshake failed for want of a client certificate.
	NoCertificate Cause = "no_certificate"
	// BadCertificate: the client's certificate is not by the client CA, or not
	// valid now.
	BadCertificate Cause = "bad_certificate"
	// Handshake: a connection failed before it was one, for another reason.
	Handshake Cause = "handshake"
	// UnknownCertificate: no identity has the certificate's names.
	UnknownCertificate Cause = "unknown_certificate"
	// UnknownToken: no identity has the token.
	UnknownToken Cause = "unknown_token"
	// ExpiredToken: token or JWT is past its time.
	ExpiredToken Cause = "expired_token"
	// BadJWT: the signature, issuer, audience or a claim of a JWT is wrong.
	BadJWT Cause = "bad_jwt"
	// UnknownKey: no identity has the CURVE key.
	UnknownKey Cause = "unknown_key"
	// NoCurve: a peer without CURVE came to an endpoint that wants it.
	NoCurve Cause = "no_curve"
	// WrongRole: the identity lacks the role that a method needs.
	WrongRole Cause = "role"
)

// Causes are all that can be counted, with those of refused BOTs.
var Causes = []Cause{
	NoCredentials, NoCertificate, BadCertificate, Handshake, UnknownCertificate, UnknownToken, ExpiredToken,
	BadJWT, UnknownKey, NoCurve, WrongRole, "direction", "attributes", "flows", "cid", "name",
}

// CauseWords are the Causes as they are counted.
func CauseWords() []string {
	words := make([]string, len(Causes))
	for i, cause := range Causes {
		words[i] = string(cause)
	}
	return words
}

// Denial is the error of somebody who is not let in.
type Denial struct {
	Cause Cause
	// Identity is who it was, where that is known.
	Identity string
	// Detail says the cause in words. It repeats no secret.
	Detail string
}

func (d *Denial) Error() string { return d.Detail }

// Observer is told of every denial, for counting. Front is where it happened:
// "grpc", "zmq-server" or "zmq-router". It may be called concurrently, and must
// not block.
type Observer func(front, cause, identity string)

// quiet is for how long a denial that looks like one before is not logged again:
// a peer that keeps trying shall not fill the log.
const quiet = 10 * time.Second

// maxSeen bounds the memory for what was logged.
const maxSeen = 1000

// gate logs and counts denials. It may be used concurrently.
type gate struct {
	log     *slog.Logger
	observe Observer

	mu   sync.Mutex
	seen map[seen]*repeat // guarded by mu
}

type seen struct{ front, cause, identity, address, detail string }

type repeat struct {
	until time.Time
	more  int // since it was logged
}

func newGate(log *slog.Logger, observe Observer) *gate {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if observe == nil {
		observe = func(string, string, string) {}
	}
	return &gate{log: log, observe: observe, seen: map[seen]*repeat{}}
}

// deny counts a denial, and logs it unless the same was logged just now. The
// address is without the port, which is another one each time.
func (g *gate) deny(front, address string, d *Denial) {
	defer g.observe(front, string(d.Cause), d.Identity) // who hears of it finds it in the log
	repeated, fresh := g.note(seen{front, string(d.Cause), d.Identity, address, d.Detail}, time.Now())
	if !fresh {
		return
	}
	attributes := []any{"front", front, "cause", string(d.Cause), "address", address, "detail", d.Detail}
	if d.Identity != "" {
		attributes = append(attributes, "identity", d.Identity)
	}
	if repeated > 0 {
		attributes = append(attributes, "repeated", repeated)
	}
	g.log.Warn("access denied", attributes...)
}

// note answers whether s is to be logged, and how often it was not since it last
// was.
func (g *gate) note(s seen, now time.Time) (repeated int, fresh bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	was := g.seen[s]
	if was != nil && now.Before(was.until) {
		was.more++
		return 0, false
	}
	if was != nil {
		repeated = was.more
	}
	if len(g.seen) >= maxSeen {
		for old, r := range g.seen {
			if !now.Before(r.until) {
				delete(g.seen, old)
			}
		}
		if len(g.seen) >= maxSeen { // a flood: nothing more is remembered, nor logged
			return 0, false
		}
	}
	g.seen[s] = &repeat{until: now.Add(quiet)}
	return repeated, true
}
