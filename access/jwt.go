package access

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/zioflow/gateway/access/jwks"
)

// leeway is how far clocks may be apart.
const leeway = 30 * time.Second

// looksLikeJWT tells whether a bearer token may be a JWT.
func looksLikeJWT(text string) bool { return strings.Count(text, ".") == 2 }

// verify checks a JWT, and returns what it proves: otherwise a *Denial, or the error of
// a context that has ended meanwhile.
func (r *Rules) verify(ctx context.Context, token string) (*jwtCredential, error) {
	unverified := jwt.MapClaims{}
	shown, _, err := jwt.NewParser().ParseUnverified(token, unverified)
	if err != nil {
		return nil, &Denial{Cause: BadJWT, Detail: "the bearer token is neither known nor a JWT"}
	}
	name, _ := unverified.GetIssuer() // empty, no issuer has it
	from := r.issuers[name]
	if from == nil {
		return nil, &Denial{Cause: BadJWT, Detail: "the JWT's issuer is not one of ours"}
	}
	kid, alg := jwks.HeaderOf(shown)
	keys, err := from.keys.Get(ctx, kid, alg)
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return nil, ctx.Err()
	default:
		return nil, &Denial{Cause: NoKeys, Detail: "the JWT can't be verified: " + err.Error()}
	}
	claims := jwt.MapClaims{}
	parser := jwt.NewParser(jwt.WithValidMethods(jwks.Algorithms), jwt.WithIssuer(name), jwt.WithAudience(from.audience),
		jwt.WithExpirationRequired(), jwt.WithLeeway(leeway))
	if _, err := parser.ParseWithClaims(token, claims, keys.Keyfunc); err != nil {
		return nil, denyJWT(err)
	}
	credential, denial := from.read(name, claims)
	if denial != nil {
		return nil, denial
	}
	return credential, nil
}

func denyJWT(err error) *Denial {
	for _, known := range []struct {
		err    error
		cause  Cause
		detail string
	}{
		{jwt.ErrTokenExpired, ExpiredToken, "the JWT has expired"},
		{jwt.ErrTokenNotValidYet, BadJWT, "the JWT is not valid yet"},
		{jwt.ErrTokenInvalidAudience, BadJWT, "the JWT is for another audience"},
		{jwt.ErrTokenRequiredClaimMissing, BadJWT, "the JWT lacks a claim: exp, iss and aud are needed"},
		{jwt.ErrTokenSignatureInvalid, BadJWT, "the JWT's signature is not its issuer's"},
		{jwt.ErrTokenUnverifiable, BadJWT, "the JWT's key is not one of its issuer's"},
	} {
		if errors.Is(err, known.err) {
			return &Denial{Cause: known.cause, Detail: known.detail}
		}
	}
	return &Denial{Cause: BadJWT, Detail: "the JWT is not valid"}
}

// read takes name and roles from verified claims.
func (i *issuer) read(issuer string, claims jwt.MapClaims) (*jwtCredential, *Denial) {
	text, _ := claims[i.nameClaim].(string)
	name := i.namePrefix + text
	if err := checkName(name); text == "" || err != nil {
		return nil, &Denial{Cause: BadJWT, Detail: fmt.Sprintf("the JWT's claim %s makes no name", i.nameClaim)}
	}
	expires, err := claims.GetExpirationTime()
	if err != nil || expires == nil { // cannot be: the parser wants it
		return nil, &Denial{Cause: BadJWT, Detail: "the JWT does not expire"}
	}
	var value any = map[string]any(claims)
	for _, step := range i.rolesClaim {
		object, _ := value.(map[string]any)
		value = object[step]
	}
	return &jwtCredential{issuer: issuer, name: name, roles: claimWords(value), expires: expires.Add(leeway)}, nil
}

// claimWords are those of a claim: a list of strings, or one with spaces.
func claimWords(claim any) []string {
	switch v := claim.(type) {
	case string:
		return strings.Fields(v)
	case []any:
		var all []string
		for _, item := range v {
			if word, ok := item.(string); ok {
				all = append(all, word)
			}
		}
		return all
	}
	return nil
}
