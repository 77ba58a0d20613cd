package access_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"

	"github.com/zioflow/gateway/access"
	"github.com/zioflow/gateway/access/jwks"
)

// issuer is one that answers as a test wants, and a policy that asks it.
type issuer struct {
	*httptest.Server
	answer  atomic.Pointer[http.HandlerFunc]
	key     *ecdsa.PrivateKey
	policy  *access.Policy
	fetches chan jwks.Fetch
}

func newIssuer(t *testing.T, answer http.HandlerFunc) *issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	i := &issuer{key: key, fetches: make(chan jwks.Fetch, 10)}
	i.answer.Store(&answer)
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*i.answer.Load())(w, r) }))
	t.Cleanup(i.Close)
	i.policy = policy(t, "jwt: [{issuer: '"+i.URL+"', jwks: '"+i.URL+"/keys', audience: gateway}]") // its end comes first
	i.policy.OnFetch(func(f jwks.Fetch) { i.fetches <- f })
	return i
}

// token is a good JWT, by that key.
func (i *issuer) token(t *testing.T, kid string) string {
	t.Helper()
	return sign(t, jwt.SigningMethodES256, kid, i.key,
		jwt.MapClaims{"iss": i.URL, "aud": "gateway", "sub": "alice", "exp": time.Now().Add(time.Hour).Unix()})
}

// set is a JWK set of the issuer's key, changed.
func (i *issuer) set(t *testing.T, changes ...func(*jwkset.JWKMarshal)) []byte {
	t.Helper()
	jwk, err := jwkset.NewJWKFromKey(i.key.Public(), jwkset.JWKOptions{Metadata: jwkset.JWKMetadataOptions{KID: "k"}})
	if err != nil {
		t.Fatal(err)
	}
	var set jwkset.JWKSMarshal
	for _, change := range changes {
		key := jwk.Marshal()
		change(&key)
		set.Keys = append(set.Keys, key)
	}
	text, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func textLog(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }

func plain(*jwkset.JWKMarshal) {}

func serving(text []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(text) }
}

// TestJWKSetForSomethingElse: a key is taken for what it is published for.
func TestJWKSetForSomethingElse(t *testing.T) {
	t.Parallel()
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	smallJWK, err := jwkset.NewJWKFromKey(small.Public(), jwkset.JWKOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		change func(*jwkset.JWKMarshal)
		word   string // of the refusal; empty where the key is good
	}{
		"no word of it":     {plain, ""},
		"to sign":           {func(m *jwkset.JWKMarshal) { m.USE = "sig" }, ""},
		"to verify":         {func(m *jwkset.JWKMarshal) { m.KEYOPS = []jwkset.KEYOPS{"verify"} }, ""},
		"for ES256":         {func(m *jwkset.JWKMarshal) { m.ALG = "ES256" }, ""},
		"to encrypt":        {func(m *jwkset.JWKMarshal) { m.USE = "enc" }, `use: is "enc"`},
		"of a word":         {func(m *jwkset.JWKMarshal) { m.USE = "tea" }, `use: is "tea"`},
		"to wrap":           {func(m *jwkset.JWKMarshal) { m.KEYOPS = []jwkset.KEYOPS{"wrapKey"} }, "key_ops"},
		"to make":           {func(m *jwkset.JWKMarshal) { m.KEYOPS = []jwkset.KEYOPS{"sign"} }, "key_ops"},
		"for encryption":    {func(m *jwkset.JWKMarshal) { m.ALG = "ECDH-ES" }, `alg: "ECDH-ES"`},
		"for another":       {func(m *jwkset.JWKMarshal) { m.ALG = "ES384" }, "not one of its issuer's"},
		"for a secret":      {func(m *jwkset.JWKMarshal) { m.ALG = "HS256" }, `alg: "HS256"`},
		"a secret":          {func(m *jwkset.JWKMarshal) { *m = jwkset.JWKMarshal{KTY: "oct", KID: "k", K: "c2VjcmV0"} }, "secret"},
		"with its secret":   {func(m *jwkset.JWKMarshal) { m.D = m.X }, "secret"},
		"too short":         {func(m *jwkset.JWKMarshal) { *m = smallJWK.Marshal() }, "has 1024 bits"},
		"no point":          {func(m *jwkset.JWKMarshal) { m.X = m.Y }, "not on the specified curve"},
		"of a kind unknown": {func(m *jwkset.JWKMarshal) { m.KTY = "new" }, "keys[0]"},
	} {
		i := newIssuer(t, nil)
		answer := serving(i.set(t, c.change))
		i.answer.Store(&answer)
		_, err := i.policy.Token(t.Context(), i.token(t, "k"))
		if c.word == "" {
			if err != nil {
				t.Errorf("%s: %v", what, err)
			}
			continue
		}
		cause := access.NoKeys // as there is none that is good
		if what == "for another" {
			cause = access.BadJWT
		}
		wantDenial(t, what, err, cause)
		if err != nil && !strings.Contains(err.Error(), c.word) {
			t.Errorf("%s: %v, want %q in it", what, err, c.word)
		}
	}
	beside := newIssuer(t, nil)
	answer := serving(beside.set(t, func(m *jwkset.JWKMarshal) { m.USE = "enc" }, plain))
	beside.answer.Store(&answer)
	if _, err := beside.policy.Token(t.Context(), beside.token(t, "k")); err != nil {
		t.Errorf("beside one for something else: %v", err)
	}
	if f := <-beside.fetches; f.Keys != 1 || f.Refused != 1 || f.Err != nil {
		t.Errorf("told of %+v, want one key, and one refused", f)
	}
	if _, err := beside.policy.Token(t.Context(), sign(t, jwt.SigningMethodES256, "", beside.key,
		jwt.MapClaims{"iss": beside.URL, "aud": "gateway", "sub": "alice", "exp": time.Now().Add(time.Hour).Unix()})); err != nil {
		t.Errorf("without the key's name: %v", err)
	}
}

// TestJWKSetBounded: what an issuer publishes is read so far and no further.
func TestJWKSetBounded(t *testing.T) {
	t.Parallel()
	many := make([]func(*jwkset.JWKMarshal), 65)
	for n := range many {
		many[n] = plain
	}
	for what, c := range map[string]struct {
		answer func(*issuer) http.HandlerFunc
		word   string
	}{
		"as many as may be": {func(i *issuer) http.HandlerFunc { return serving(i.set(t, many[1:]...)) }, ""},
		"one more":          {func(i *issuer) http.HandlerFunc { return serving(i.set(t, many...)) }, "has 65 keys, at most 64"},
		"without end": {func(*issuer) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) {
				_, err := w.Write([]byte(`{"keys":[`))
				for err == nil {
					_, err = w.Write([]byte("                                                                "))
				}
			}
		}, "more than 262144 bytes"},
		"none": {func(i *issuer) http.HandlerFunc { return serving(i.set(t)) }, "has no keys"},
	} {
		i := newIssuer(t, nil)
		answer := c.answer(i)
		i.answer.Store(&answer)
		_, err := i.policy.Token(t.Context(), i.token(t, "k"))
		if c.word == "" && err != nil || c.word != "" && (err == nil || !strings.Contains(err.Error(), c.word)) {
			t.Errorf("%s: %v, want %q in it", what, err, c.word)
		}
	}
}

// TestJWKSetSentOn: redirects stay encrypted, and with addresses of one kind.
func TestJWKSetSentOn(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, nil)
	keys := i.set(t, plain)
	for what, c := range map[string]struct{ to, word string }{
		"another path":  {"/good", ""},
		"clear text":    {"http://login.example.org/keys", "no https URL"},
		"another kind":  {"https://192.0.2.1/keys", "is a public address, the one before was a loopback one"},
		"what is local": {"https://169.254.169.254/keys", "is a link-local address"},
		"a file":        {"file:///etc/passwd", "no https URL"},
		"round":         {"/keys", "more than 3 times"},
	} {
		answer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/good" {
				_, _ = w.Write(keys)
				return
			}
			http.Redirect(w, r, c.to, http.StatusFound)
		})
		i.answer.Store(&answer)
		p := policy(t, "jwt: [{issuer: '"+i.URL+"', jwks: '"+i.URL+"/keys', audience: gateway}]")
		_, err := p.Token(t.Context(), i.token(t, "k"))
		if c.word == "" && err != nil || c.word != "" && (err == nil || !strings.Contains(err.Error(), c.word)) {
			t.Errorf("%s: %v, want %q in it", what, err, c.word)
		}
	}
}

// TestJWKSetSlow: who waits for the keys does so as long as he wants, and who needs none
// that is not there does not wait.
func TestJWKSetSlow(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, nil)
	good := serving(i.set(t, plain))
	i.answer.Store(&good)
	token := i.token(t, "k")
	if _, err := i.policy.Token(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	cold := newIssuer(t, nil)
	asked := make(chan struct{}, 1)
	release := make(chan struct{})
	set := cold.set(t, plain)
	slow := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		select {
		case <-release:
			_, _ = w.Write(set)
		case <-r.Context().Done():
		}
	})
	cold.answer.Store(&slow)
	ctx, giveUp := context.WithCancel(t.Context())
	first, second := make(chan error, 1), make(chan error, 1)
	go func() { _, err := cold.policy.Token(ctx, cold.token(t, "k")); first <- err }()
	<-asked
	go func() { _, err := cold.policy.Token(t.Context(), cold.token(t, "k")); second <- err }()
	giveUp()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("who has left is told %v", err)
	}
	close(release)
	if err := <-second; err != nil {
		t.Errorf("who has waited is told %v", err)
	}
	if f := <-cold.fetches; f.Err != nil || f.Keys != 1 {
		t.Errorf("told of %+v", f)
	}
}

// TestJWKSetKept: an issuer that can't be asked any more leaves the keys that it gave.
func TestJWKSetKept(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, nil)
	good := serving(i.set(t, plain))
	i.answer.Store(&good)
	i.policy.Replace(parse(t, "jwt: [{issuer: '"+i.URL+"', jwks: '"+i.URL+"/keys', audience: gateway}]"))
	if _, err := i.policy.Token(t.Context(), i.token(t, "k")); err != nil {
		t.Fatal(err)
	}
	if f := <-i.fetches; f.Err != nil {
		t.Errorf("told of %+v", f)
	}
	bad := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusTeapot) })
	i.answer.Store(&bad)
	for range 2 {
		if err := access.Refetch(i.policy, i.URL); err == nil || !strings.Contains(err.Error(), "418") {
			t.Errorf("a failed fetch: %v", err)
		}
		if f := <-i.fetches; f.Err == nil || f.Keys != 1 || f.Issuer != i.URL {
			t.Errorf("told of %+v, want an error, and one key", f)
		}
		if _, err := i.policy.Token(t.Context(), i.token(t, "k")); err != nil {
			t.Errorf("by the last good keys: %v", err)
		}
	}
	i.answer.Store(&good)
	if err := access.Refetch(i.policy, i.URL); err != nil {
		t.Error(err)
	}
	if f := <-i.fetches; f.Err != nil || !f.Recovered {
		t.Errorf("told of %+v, want that it has recovered", f)
	}
}

// TestJWKSetFetchLogged: in few lines, by issuer.
func TestJWKSetFetchLogged(t *testing.T) {
	t.Parallel()
	var lines strings.Builder
	i := newIssuer(t, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusTeapot) })
	p := access.NewPolicy(parse(t, "jwt: [{issuer: '"+i.URL+"', jwks: '"+i.URL+"/keys', audience: gateway}]"), textLog(&lines), nil)
	defer p.Close()
	for range 20 {
		if err := access.Refetch(p, i.URL); err == nil {
			t.Fatal("fetched what is not there")
		}
	}
	if n := strings.Count(lines.String(), "keys of an issuer not fetched"); n < 1 || n > 5 {
		t.Errorf("20 failures make %d lines, want 1 to 5:\n%s", n, lines.String())
	}
	if want := fmt.Sprintf("issuer=%s", i.URL); !strings.Contains(lines.String(), want) || !strings.Contains(lines.String(), "418") {
		t.Errorf("logged %s, want %s and the status", lines.String(), want)
	}
}
