package access

import "time"

// credential is what has shown who somebody is.
type credential interface {
	// holder returns whom it proves by these rules at this time; nil for nobody.
	holder(*Rules, time.Time) *identity
}

type keyCredential CurveKey

func (k keyCredential) holder(r *Rules, _ time.Time) *identity { return r.keys[CurveKey(k)] }

type tokenCredential tokenHash

func (t tokenCredential) holder(r *Rules, now time.Time) *identity {
	found := r.token(tokenHash(t))
	if found == nil || found.expired(now) {
		return nil
	}
	return found.holder
}

// certificateCredential is the names that stand in a certificate, and until when it is valid:
// TLS has looked only when the connection was made.
type certificateCredential struct {
	names   []string
	expires time.Time
}

func (c *certificateCredential) holder(r *Rules, now time.Time) *identity {
	if now.After(c.expires) {
		return nil
	}
	var found *identity
	for _, name := range c.names {
		switch holder := r.certificates[name]; {
		case holder == nil, holder == found:
		case found != nil:
			return nil // it could be either
		default:
			found = holder
		}
	}
	return found
}

// jwtCredential is what a verified JWT says.
type jwtCredential struct {
	issuer, name string
	roles        []string
	expires      time.Time
}

func (j *jwtCredential) holder(r *Rules, now time.Time) *identity {
	from := r.issuers[j.issuer]
	if from == nil || r.identities[j.name] != nil || !now.Before(j.expires) {
		return nil
	}
	return from.holder(j.name, j.roles)
}
