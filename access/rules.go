package access

import (
	"crypto/subtle"
	"time"

	"github.com/zioflow/gateway/broker"
)

// Rules are identities, and what proves them. They are made whole by Load or
// Parse, and never change.
type Rules struct {
	identities   map[string]*identity
	keys         map[CurveKey]*identity
	certificates map[string]*identity // by each name that a certificate may have
	tokens       []token
	issuers      map[string]*issuer
	owned        owned
}

// identity is somebody, with roles and limits.
type identity struct {
	name   string
	roles  map[Role]bool
	limits limits
}

// limits are what an identity may do in its roles. The zero value sets none.
type limits struct {
	maxFlows        int
	extract, inject bool // both false for both
	match           broker.Match
	names           *nameRights
}

type token struct {
	hash    tokenHash
	expires time.Time // zero for never
	holder  *identity
}

func (t *token) expired(now time.Time) bool { return !t.expires.IsZero() && !now.Before(t.expires) }

// rights are what the broker is to allow.
func (i *identity) rights() broker.Rights {
	l := i.limits
	both := !l.extract && !l.inject
	return broker.Rights{
		Client: i.roles[Client], Handler: i.roles[Handler],
		Extract: l.extract || both, Inject: l.inject || both,
		MaxFlows: l.maxFlows, Match: l.match, Names: l.names,
	}
}

// token finds a token by its hash, in a time that does not tell how much of one
// was guessed; nil if there is none.
func (r *Rules) token(hash tokenHash) *token {
	var found *token
	for i := range r.tokens {
		if subtle.ConstantTimeCompare(r.tokens[i].hash[:], hash[:]) == 1 {
			found = &r.tokens[i]
		}
	}
	return found
}

// Identities counts the identities of the file; those that JWTs name are not
// among them.
func (r *Rules) Identities() int { return len(r.identities) }

// TokensInUse tells whether anybody can be known by a bearer token.
func (r *Rules) TokensInUse() bool { return len(r.tokens) > 0 || len(r.issuers) > 0 }
