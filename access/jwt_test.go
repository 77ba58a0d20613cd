package access_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"

	"github.com/zioflow/gateway/access"
)

// login is an issuer, with OpenID Connect's discovery.
type login struct {
	*httptest.Server

	mu      sync.Mutex
	keys    map[string]crypto.Signer // guarded by mu; by key id
	fetched int                      // guarded by mu; how often the keys were
}

func newLogin(t *testing.T) *login {
	t.Helper()
	l := &login{keys: map[string]crypto.Signer{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]string{"issuer": l.URL, "jwks_uri": l.URL + "/keys"})
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, r *http.Request) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.fetched++
		store := jwkset.NewMemoryStorage()
		for id, key := range l.keys {
			jwk, err := jwkset.NewJWKFromKey(key.Public(), jwkset.JWKOptions{Metadata: jwkset.JWKMetadataOptions{KID: id}})
			if err == nil {
				err = store.KeyWrite(r.Context(), jwk)
			}
			if err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
		}
		text, _ := store.JSONPublic(r.Context())
		_, _ = w.Write(text)
	})
	l.Server = httptest.NewServer(mux)
	t.Cleanup(l.Close)
	return l
}

// rotate makes a key of that id, in the place of all others.
func (l *login) rotate(t *testing.T, id string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.keys = map[string]crypto.Signer{id: key}
}

func (l *login) fetches() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fetched
}

func (l *login) key(id string) crypto.Signer {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.keys[id]
}

// claims are those of a good JWT, with changes.
func (l *login) claims(change jwt.MapClaims) jwt.MapClaims {
	claims := jwt.MapClaims{
		"iss": l.URL, "aud": "gateway", "sub": "alice", "exp": time.Now().Add(time.Hour).Unix(),
		"realm": map[string]any{"roles": []string{"staff", "other"}},
	}
	for name, value := range change {
		claims[name] = value
		if value == nil {
			delete(claims, name)
		}
	}
	return claims
}

func sign(t *testing.T, method jwt.SigningMethod, id string, key any, claims jwt.MapClaims) string {
	t.Helper()
	token := jwt.NewWithClaims(method, claims)
	token.Header["kid"] = id
	text, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func (l *login) policy(t *testing.T, more string) *access.Policy {
	return policy(t, more+`
jwt:
- issuer: `+l.URL+`
  audience: gateway
  name-prefix: "login:"
  roles-claim: realm.roles
  roles: {staff: [client, handler], boss: [admin]}
  limits: {directions: [extract], max-flows: 2}
`)
}

func TestJWT(t *testing.T) {
	t.Parallel()
	l := newLogin(t)
	l.rotate(t, "k1")
	p := l.policy(t, "")
	principal, err := p.Token(t.Context(), sign(t, jwt.SigningMethodES256, "k1", l.key("k1"), l.claims(nil)))
	if err != nil {
		t.Fatal(err)
	}
	if r := principal.Rights(); principal.Name() != "login:alice" || !r.Client || !r.Handler || !r.Extract || r.Inject || r.MaxFlows != 2 {
		t.Errorf("%s has rights %+v", principal.Name(), r)
	}
	if principal.Need(access.Admin) == nil {
		t.Error("staff is admin")
	}
}

// TestJWTRefused: everything that is not quite right.
func TestJWTRefused(t *testing.T) {
	t.Parallel()
	l := newLogin(t)
	l.rotate(t, "k1")
	p := l.policy(t, "identities: [{name: bob, roles: [admin]}]")
	foreign, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	otherKind, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(l.key("k1").Public())
	if err != nil {
		t.Fatal(err)
	}
	publicPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})
	es256, good := jwt.SigningMethodES256, l.key("k1")
	hourAgo := time.Now().Add(-time.Hour).Unix()
	for what, c := range map[string]struct {
		token string
		want  access.Cause
	}{
		"expired":               {sign(t, es256, "k1", good, l.claims(jwt.MapClaims{"exp": hourAgo})), access.ExpiredToken},
		"does not expire":       {sign(t, es256, "k1", good, l.claims(jwt.MapClaims{"exp": nil})), access.BadJWT},
		"not valid yet":         {sign(t, es256, "k1", good, l.claims(jwt.MapClaims{"nbf": time.Now().Add(time.Hour).Unix()})), access.BadJWT},
		"another audience":      {sign(t, es256, "k1", good, l.claims(jwt.MapClaims{"aud": "others"})), access.BadJWT},
		"no audience":           {sign(t, es256, "k1", good, l.claims(jwt.MapClaims{"aud": nil})), access.BadJWT},
		"another issuer":        {sign(t, es256, "k1", good, l.claims(jwt.MapClaims{"iss": "https://evil.example"})), access.BadJWT},
		"no issuer":             {sign(t, es256, "k1", good, l.claims(jwt.MapClaims{"iss": nil})), access.BadJWT},
		"foreign-signed":        {sign(t, es256, "k1", foreign, l.claims(nil)), access.BadJWT},
		"another kind of key":   {sign(t, jwt.SigningMethodRS256, "k1", otherKind, l.claims(nil)), access.BadJWT},
		"alg none":              {sign(t, jwt.SigningMethodNone, "k1", jwt.UnsafeAllowNoneSignatureType, l.claims(nil)), access.BadJWT},
		"public key as secret":  {sign(t, jwt.SigningMethodHS256, "k1", publicPEM, l.claims(nil)), access.BadJWT},
		"no name":               {sign(t, es256, "k1", good, l.claims(jwt.MapClaims{"sub": nil})), access.BadJWT},
		"a name with a newline": {sign(t, es256, "k1", good, l.claims(jwt.MapClaims{"sub": "a\nb"})), access.BadJWT},
		"cut":                   {sign(t, es256, "k1", good, l.claims(nil))[:20] + "..", access.BadJWT},
	} {
		_, err := p.Token(t.Context(), c.token)
		wantDenial(t, what, err, c.want)
	}
	principal, err := p.Token(t.Context(), sign(t, es256, "k1", good, l.claims(jwt.MapClaims{"realm": nil})))
	if err != nil || principal.Need(access.Client, access.Handler, access.Admin) == nil {
		t.Errorf("without roles: %v, %v, want a name without roles", principal, err)
	}
}

// TestJWTKeysRotate: a key that is not known has the keys fetched anew, but not
// as often as somebody shows one.
func TestJWTKeysRotate(t *testing.T) {
	t.Parallel()
	l := newLogin(t)
	l.rotate(t, "k1")
	p := l.policy(t, "")
	if n := l.fetches(); n != 0 {
		t.Errorf("the keys were fetched %d times before anybody came", n)
	}
	show := func(id string) error {
		_, err := p.Token(t.Context(), sign(t, jwt.SigningMethodES256, id, l.key(id), l.claims(nil)))
		return err
	}
	for range 3 {
		if err := show("k1"); err != nil {
			t.Fatal(err)
		}
	}
	if n := l.fetches(); n != 1 {
		t.Errorf("three tokens of one key fetched the keys %d times", n)
	}
	old := sign(t, jwt.SigningMethodES256, "k1", l.key("k1"), l.claims(nil))
	l.rotate(t, "k2")
	if err := show("k2"); err != nil {
		t.Errorf("a key that came later: %v", err)
	}
	_, err := p.Token(t.Context(), old)
	wantDenial(t, "a key that was withdrawn", err, access.BadJWT)
	strange, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"x1", "x2", "x3", "x4"} {
		_, err := p.Token(t.Context(), sign(t, jwt.SigningMethodES256, id, strange, l.claims(nil)))
		wantDenial(t, id, err, access.BadJWT)
	}
	if n := l.fetches(); n != 2 {
		t.Errorf("strange keys had the keys fetched %d times, want 2: the first, and for k2", n)
	}
}

// TestJWTReplace: other rules for the same issuer keep its keys; who is in has
// the rights of the new rules, or none if the issuer is gone.
func TestJWTReplace(t *testing.T) {
	t.Parallel()
	l := newLogin(t)
	l.rotate(t, "k1")
	p := l.policy(t, "")
	text := sign(t, jwt.SigningMethodES256, "k1", l.key("k1"), l.claims(nil))
	principal, err := p.Token(t.Context(), text)
	if err != nil {
		t.Fatal(err)
	}
	p.Replace(parse(t, "jwt: [{issuer: '"+l.URL+"', audience: gateway, name-prefix: 'login:', roles-claim: realm.roles, roles: {staff: [admin]}}]"))
	if r := principal.Rights(); r.Client || principal.Need(access.Admin) != nil {
		t.Errorf("with other roles the rights are %+v", r)
	}
	if _, err := p.Token(t.Context(), text); err != nil || l.fetches() != 1 {
		t.Errorf("the same issuer: %v, the keys fetched %d times, want once", err, l.fetches())
	}
	p.Replace(parse(t, ""))
	if r := principal.Rights(); !reflect.ValueOf(r).IsZero() {
		t.Errorf("without the issuer the rights are %+v", r)
	}
}

// TestJWTIssuerAway: an issuer that does not answer, or not for itself, lets
// nobody in and says why.
func TestJWTIssuerAway(t *testing.T) {
	t.Parallel()
	for what, handler := range map[string]http.HandlerFunc{
		"gone":     func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusTeapot) },
		"not JSON": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) },
		"another issuer": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"issuer":"https://x","jwks_uri":"https://x"}`))
		},
		"clear text": nil,
	} {
		s := httptest.NewUnstartedServer(nil)
		s.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if handler != nil {
				handler(w, r)
				return
			}
			_ = json.NewEncoder(w).Encode(map[string]string{"issuer": s.URL, "jwks_uri": "http://login.example.org/"})
		})
		s.Start()
		l := &login{Server: s, keys: map[string]crypto.Signer{}}
		l.rotate(t, "k1")
		_, err := l.policy(t, "").Token(context.Background(), sign(t, jwt.SigningMethodES256, "k1", l.key("k1"), l.claims(nil)))
		wantDenial(t, what, err, access.NoKeys)
		s.Close()
	}
}
