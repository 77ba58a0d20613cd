// Package jwks has the keys by which JWTs are verified: an issuer's, fetched when they are
// needed and every so often (RFC 7517).
package jwks

import (
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"
)

// Bounds of what an issuer may publish.
const (
	maxDocument = 256 << 10 // bytes of a document
	maxKeys     = 64        // in a set; a JWT that names none is tried with all that fit
	maxModulus  = 8192      // bits of an RSA key: to verify takes time by them
	minModulus  = 2048      // RFC 7518 wants that
)

// Algorithms are those that a JWT may be signed with: only such as have a public
// key, and none is not among them.
var Algorithms = []string{
	"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
}

// verificationKey is a key by which an issuer's signatures are verified.
type verificationKey struct {
	kid string // empty if it has none
	alg string // empty for every algorithm of its kind
	key jwt.VerificationKey
}

// Set is an issuer's keys. It never changes.
type Set []verificationKey

// parseSet reads a JWK set. Keys that are for something else are left out, and
// counted; a set without any other is an error.
func parseSet(text []byte) (keys Set, refused int, err error) {
	var document struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(text, &document); err != nil {
		return nil, 0, err
	}
	if n := len(document.Keys); n > maxKeys {
		return nil, 0, fmt.Errorf("has %d keys, at most %d are allowed", n, maxKeys)
	}
	var first error
	for i, raw := range document.Keys {
		key, err := parseKey(raw)
		if err != nil {
			refused++
			if first == nil {
				first = fmt.Errorf("keys[%d]: %w", i, err)
			}
			continue
		}
		keys = append(keys, key)
	}
	switch {
	case len(keys) > 0:
	case first != nil:
		return nil, refused, fmt.Errorf("has no key that verifies signatures: %w", first)
	default:
		return nil, 0, errors.New("has no keys")
	}
	return keys, refused, nil
}

// parseKey reads a key, which must be public, and made to verify the signatures that
// JWTs may have.
func parseKey(raw json.RawMessage) (verificationKey, error) {
	var m jwkset.JWKMarshal
	if err := json.Unmarshal(raw, &m); err != nil {
		return verificationKey{}, err
	}
	switch {
	case m.USE != "" && m.USE != jwkset.UseSig:
		return verificationKey{}, fmt.Errorf("use: is %q, want %q", m.USE, jwkset.UseSig)
	case m.KEYOPS != nil && !slices.Contains(m.KEYOPS, jwkset.KeyOpsVerify):
		return verificationKey{}, fmt.Errorf("key_ops: %q has no %q", m.KEYOPS, jwkset.KeyOpsVerify)
	case m.ALG != "" && !slices.Contains(Algorithms, m.ALG.String()):
		return verificationKey{}, fmt.Errorf("alg: %q is not one of %q", m.ALG, Algorithms)
	case m.D != "" || m.K != "":
		return verificationKey{}, errors.New("is secret, but published")
	}
	// Only what makes the key is read: its certificates are not looked at.
	jwk, err := jwkset.NewJWKFromMarshal(jwkset.JWKMarshal{KTY: m.KTY, CRV: m.CRV, X: m.X, Y: m.Y, N: m.N, E: m.E},
		jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{})
	if err != nil {
		return verificationKey{}, err
	}
	if public, is := jwk.Key().(*rsa.PublicKey); is {
		if bits := public.N.BitLen(); bits < minModulus || bits > maxModulus {
			return verificationKey{}, fmt.Errorf("n: has %d bits, want %d to %d", bits, minModulus, maxModulus)
		}
	}
	return verificationKey{kid: m.KID, alg: m.ALG.String(), key: jwk.Key()}, nil
}

// Fitting are the keys that may have signed a JWT with such a header.
func (s Set) Fitting(kid, alg string) []jwt.VerificationKey {
	var fit []jwt.VerificationKey
	for _, k := range s {
		if (kid == "" || k.kid == kid) && (k.alg == "" || k.alg == alg) {
			fit = append(fit, k.key)
		}
	}
	return fit
}

// Keyfunc implements jwt.Keyfunc.
func (s Set) Keyfunc(token *jwt.Token) (any, error) {
	fit := s.Fitting(HeaderOf(token))
	if len(fit) == 0 {
		return nil, errors.New("no key of the issuer fits")
	}
	return jwt.VerificationKeySet{Keys: fit}, nil
}

// HeaderOf is the key and the algorithm that a JWT says it was signed with; empty where
// it does not say.
func HeaderOf(token *jwt.Token) (kid, alg string) {
	kid, _ = token.Header["kid"].(string)
	alg, _ = token.Header["alg"].(string)
	return kid, alg
}
