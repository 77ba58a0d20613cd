package access

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/zioflow/gateway/access/jwks"
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/internal/logs"
	"github.com/zioflow/gateway/internal/text"
)

// Policy says who somebody is, and what they may do, by rules that can be
// replaced at any time. All its methods may be called concurrently, but for OnFetch.
type Policy struct {
	*DenialLog
	rules   atomic.Pointer[Rules]
	fetches func(jwks.Fetch) // nil if nobody wants to know
}

// NewPolicy makes a policy of the rules. Denials go to the log, as far as they are
// not too many, and to the observer; nil for none.
func NewPolicy(rules *Rules, log *slog.Logger, observe Observer) *Policy {
	return NewDenialLog(log, observe).Policy(rules)
}

// Policy makes a policy of the rules, whose denials go to this log.
func (g *DenialLog) Policy(rules *Rules) *Policy {
	p := &Policy{DenialLog: g}
	p.adopt(rules)
	p.rules.Store(rules)
	return p
}

// OnFetch has a function told of every attempt to fetch an issuer's keys. It may be
// called concurrently, and must not block. OnFetch is called before the policy is used.
func (p *Policy) OnFetch(observe func(jwks.Fetch)) { p.fetches = observe }

// adopt has the rules' issuers tell of their fetches. Nobody uses the rules yet.
func (p *Policy) adopt(rules *Rules) {
	for _, issuer := range rules.issuers {
		issuer.keys.Report(p.fetched)
	}
}

// fetched logs an attempt to fetch an issuer's keys that is worth a line.
func (p *Policy) fetched(f jwks.Fetch) {
	if p.fetches != nil {
		defer p.fetches(f)
	}
	level, message := slog.LevelWarn, "keys of an issuer not fetched"
	attributes := []any{"issuer", f.Issuer, "keys", f.Keys}
	switch {
	case f.Err != nil:
		attributes = append(attributes, "error", text.Detail(f.Err.Error()))
	case f.Recovered || f.Refused > 0:
		level, message = slog.LevelInfo, "keys of an issuer fetched"
		attributes = append(attributes, "refused", f.Refused)
	default:
		return
	}
	p.lines.Log(context.Background(), level, "issuer_keys", logs.Of(f.Issuer, ""), message, attributes...)
}

// Replace puts other rules to use. Who is connected stays so, but has the rights
// that the new rules give, from the next BOT or call on: none, if they do not
// know any more what once proved who it is.
func (p *Policy) Replace(rules *Rules) {
	p.adopt(rules)
	was := p.rules.Load()
	for name, is := range rules.issuers {
		if before := was.issuers[name]; before != nil && before.keys.URL() == is.keys.URL() {
			is.keys.Close()
			is.keys = before.keys // with what it has fetched
		}
	}
	p.rules.Store(rules)
	for name, before := range was.issuers {
		if is := rules.issuers[name]; is == nil || is.keys != before.keys {
			before.keys.Close()
		}
	}
}

// Close lets go of the issuers. Nobody is let in by JWT any more.
func (p *Policy) Close() {
	for _, issuer := range p.rules.Load().issuers {
		issuer.keys.Close()
	}
}

// Rules are those in force.
func (p *Policy) Rules() *Rules { return p.rules.Load() }

// Refused counts the refusal of a BOT by the broker, which has logged it. It is
// made for broker.Options.Denied.
func (p *Policy) Refused(peer transport.PeerInfo, what flow.Denial) {
	p.observe(peer.Transport, string(what), peer.Name)
}

// Key returns the principal of a CURVE key; a *Denial if no identity has it.
func (p *Policy) Key(key CurveKey) (*Principal, error) {
	return p.admit(keyCredential(key), &Denial{Cause: UnknownKey, Detail: "no identity has the CURVE key " + key.String()})
}

// Certificate returns the principal of a client certificate, which was verified when its
// connection was made; a *Denial if no identity has it, or more than one, or if it has
// expired meanwhile.
func (p *Policy) Certificate(certificate *x509.Certificate) (*Principal, error) {
	if time.Now().After(certificate.NotAfter) {
		return nil, &Denial{Cause: BadCertificate, Detail: "the client certificate has expired"}
	}
	names := namesOf(certificate)
	return p.admit(&certificateCredential{names, certificate.NotAfter}, unknownCertificate(certificate, names))
}

// Token returns the principal of a bearer token or a JWT; a *Denial if no identity has
// it. It may wait for an issuer's keys, for as long as ctx lasts: then the error
// is the context's.
func (p *Policy) Token(ctx context.Context, token string) (*Principal, error) {
	rules := p.rules.Load()
	hash := tokenHash(sha256.Sum256([]byte(token)))
	if found := rules.token(hash); found != nil {
		return p.admit(tokenCredential(hash), &Denial{
			Cause: ExpiredToken, Identity: found.holder.name, Detail: "the token has expired",
		})
	}
	if len(rules.issuers) == 0 || !looksLikeJWT(token) {
		return nil, &Denial{Cause: UnknownToken, Detail: "no identity has the token"}
	}
	credential, err := rules.verify(ctx, token)
	if err != nil {
		return nil, err
	}
	return p.admit(credential, &Denial{
		Cause: BadJWT, Identity: credential.name, Detail: "the JWT's name is that of an identity of the file",
	})
}

func (p *Policy) admit(by credential, otherwise *Denial) (*Principal, error) {
	holder := by.holder(p.rules.Load(), time.Now())
	if holder == nil {
		return nil, otherwise
	}
	return &Principal{rules: &p.rules, name: holder.name, credential: by}, nil
}
