package access

import (
	"fmt"
	"time"

	"github.com/zioflow/gateway/broker"
)

// Principal is who somebody has proved to be. It implements broker.Grant. Its
// methods may be called concurrently; they answer by the rules in force.
type Principal struct {
	policy     *Policy
	name       string
	credential credential
}

// Name is the identity's.
func (p *Principal) Name() string { return p.name }

// Rights implements broker.Grant. There are none when what has proved the name
// does so no more: it was withdrawn, given to somebody else, or has expired.
func (p *Principal) Rights() broker.Rights {
	if holder := p.holder(); holder != nil {
		return holder.rights()
	}
	return broker.Rights{}
}

// Need returns nil if the principal has one of the roles, otherwise the denial.
func (p *Principal) Need(roles ...Role) *Denial {
	holder := p.holder()
	for _, role := range roles {
		if holder != nil && holder.roles[role] {
			return nil
		}
	}
	return &Denial{Cause: WrongRole, Identity: p.name, Detail: fmt.Sprintf("not allowed: needs the role %s", either(roles))}
}

func either(roles []Role) string {
	text := ""
	for i, role := range roles {
		if i > 0 {
			text += " or "
		}
		text += string(role)
	}
	return text
}

func (p *Principal) holder() *identity {
	holder := p.credential.holder(p.policy.rules.Load(), time.Now())
	if holder == nil || holder.name != p.name {
		return nil
	}
	return holder
}

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
