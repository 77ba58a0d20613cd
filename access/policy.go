package access

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/zioflow/gateway/broker"
)

// Policy says who somebody is, and what they may do, by rules that can be
// replaced at any time. All its methods may be called concurrently.
type Policy struct {
	*gate
	rules atomic.Pointer[Rules]
}

// NewPolicy makes a policy of the rules. Denials go to the log, as far as they are
// not too many, and to the observer; nil for none.
func NewPolicy(rules *Rules, log *slog.Logger, observe Observer) *Policy {
	p := &Policy{gate: newGate(log, observe)}
	p.rules.Store(rules)
	return p
}

// Replace puts other rules to use. Who is connected stays so, but has the rights
// that the new rules give, from the next BOT or call on: none, if they do not
// know any more what once proved who it is.
func (p *Policy) Replace(rules *Rules) {
	was := p.rules.Load()
	for name, is := range rules.issuers {
		if before := was.issuers[name]; before != nil && before.keys.jwks == is.keys.jwks {
			is.keys.close()
			is.keys = before.keys // with what it has fetched
		}
	}
	p.rules.Store(rules)
	for name, before := range was.issuers {
		if is := rules.issuers[name]; is == nil || is.keys != before.keys {
			before.keys.close()
		}
	}
}

// Close lets go of the issuers. Nobody is let in by JWT any more.
func (p *Policy) Close() {
	for _, issuer := range p.rules.Load().issuers {
		issuer.keys.close()
	}
}

// Rules are those in force.
func (p *Policy) Rules() *Rules { return p.rules.Load() }

// Deny counts a denial, and logs it unless there were many like it. The
// address is the host of who was denied, or where it was if that is not known.
func (p *Policy) Deny(front, address string, d *Denial) { p.deny(front, address, d) }

// Refused counts the refusal of a BOT by the broker, which has logged it. It is
// made for broker.Options.Denied.
func (p *Policy) Refused(peer broker.PeerInfo, what broker.Denial) {
	p.observe(peer.Transport, string(what), peer.Name)
}

// Key says whose CURVE key it is; a *Denial if nobody's.
func (p *Policy) Key(key CurveKey) (*Principal, error) {
	return p.admit(keyProof(key), &Denial{Cause: UnknownKey, Detail: "no identity has the CURVE key " + key.String()})
}

// Certificate says whose client certificate it is, which was verified when its
// connection was made; a *Denial if nobody's, or more than one's, or if it has expired
// meanwhile.
func (p *Policy) Certificate(certificate *x509.Certificate) (*Principal, error) {
	if time.Now().After(certificate.NotAfter) {
		return nil, &Denial{Cause: BadCertificate, Detail: "the client certificate has expired"}
	}
	names := slices.Concat(certificate.DNSNames, certificate.EmailAddresses, []string{certificate.Subject.CommonName})
	for _, uri := range certificate.URIs {
		names = append(names, uri.String())
	}
	names = slices.DeleteFunc(names, func(name string) bool { return name == "" })
	slices.Sort(names)
	names = slices.Compact(names)
	return p.admit(&certificateProof{names, certificate.NotAfter}, &Denial{
		Cause: UnknownCertificate, Detail: "no identity, or more than one, has the certificate's names: " + strings.Join(names, ", "),
	})
}

// Token says whose bearer token it is, or whom a JWT names; a *Denial if
// nobody's. It may wait for an issuer's keys for as long as ctx lasts.
func (p *Policy) Token(ctx context.Context, text string) (*Principal, error) {
	rules := p.rules.Load()
	hash := tokenHash(sha256.Sum256([]byte(text)))
	if found := rules.token(hash); found != nil {
		return p.admit(tokenProof(hash), &Denial{
			Cause: ExpiredToken, Identity: found.holder.name, Detail: "the token has expired",
		})
	}
	if len(rules.issuers) == 0 || !looksLikeJWT(text) {
		return nil, &Denial{Cause: UnknownToken, Detail: "no identity has the token"}
	}
	proof, denial := rules.verify(ctx, text)
	if denial != nil {
		return nil, denial
	}
	return p.admit(proof, &Denial{
		Cause: BadJWT, Identity: proof.name, Detail: "the JWT's name is that of an identity of the file",
	})
}

func (p *Policy) admit(by proof, otherwise *Denial) (*Principal, error) {
	holder := by.holder(p.rules.Load(), time.Now())
	if holder == nil {
		return nil, otherwise
	}
	return &Principal{policy: p, name: holder.name, proof: by}, nil
}
