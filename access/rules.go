package access

import (
	"crypto/subtle"
	"time"
)

// Rules are identities, and what proves them. They are made whole by Load or
// Parse, and never change.
type Rules struct {
	identities   map[string]*identity
	keys         map[CurveKey]*identity
	certificates map[string]*identity // by each name that a certificate may have
	tokens       []bearerToken
	issuers      map[string]*issuer
	owned        owned
}

type bearerToken struct {
	hash    tokenHash
	expires time.Time // zero for never
	holder  *identity
}

func (t *bearerToken) expired(now time.Time) bool {
	return !t.expires.IsZero() && !now.Before(t.expires)
}

// token finds a token by its hash, in a time that does not tell how much of one
// was guessed; nil if there is none.
func (r *Rules) token(hash tokenHash) *bearerToken {
	var found *bearerToken
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
