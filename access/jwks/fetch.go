package jwks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"syscall"

	"github.com/zioflow/gateway/internal/loopback"
)

// maxRedirects is how often an issuer may send on who asks for a document.
const maxRedirects = 3

// fetchKeys asks an issuer for its keys: at that URL, or at the one that it tells if it
// is empty. All of it stays with addresses of one kind.
func fetchKeys(ctx context.Context, issuer, at string) (keys Set, refused int, err error) {
	client := newIssuerClient()
	if at == "" {
		if at, err = discover(ctx, client, issuer); err != nil {
			return nil, 0, fmt.Errorf("issuer %s: %w", issuer, err)
		}
	}
	text, err := getDocument(ctx, client, at)
	if err != nil {
		return nil, 0, fmt.Errorf("issuer %s: keys: %w", issuer, err)
	}
	if keys, refused, err = parseSet(text); err != nil {
		return nil, refused, fmt.Errorf("issuer %s: keys at %s: %w", issuer, at, err)
	}
	return keys, refused, nil
}

// discover asks the issuer where its keys are (OpenID Connect Discovery 1.0).
func discover(ctx context.Context, client *http.Client, issuer string) (string, error) {
	at := strings.TrimSuffix(issuer, "/") + "/.well-known/openid-configuration"
	text, err := getDocument(ctx, client, at)
	if err != nil {
		return "", err
	}
	var document struct {
		Issuer string `json:"issuer"`
		JWKS   string `json:"jwks_uri"`
	}
	if err := json.Unmarshal(text, &document); err != nil {
		return "", fmt.Errorf("%s: %w", at, err)
	}
	if document.Issuer != issuer {
		return "", fmt.Errorf("%s is for the issuer %q", at, document.Issuer)
	}
	if document.JWKS == "" {
		return "", errors.New(at + " has no jwks_uri")
	}
	return document.JWKS, CheckURL(document.JWKS)
}

// getDocument reads a document, which is bounded.
func getDocument(ctx context.Context, client *http.Client, at string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return nil, err
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }() // it was only read
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s returns %s", at, response.Status)
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, maxDocument+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", at, err)
	}
	if len(text) > maxDocument {
		return nil, fmt.Errorf("%s: has more than %d bytes", at, maxDocument)
	}
	return text, nil
}

// newIssuerClient makes a client for one fetch. It keeps no connection.
func newIssuerClient() *http.Client {
	dialer := &net.Dialer{Control: new(sameKind).check}
	return &http.Client{
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, DialContext: dialer.DialContext, DisableKeepAlives: true,
			ForceAttemptHTTP2: true, MaxResponseHeaderBytes: 64 << 10,
		},
		CheckRedirect: func(next *http.Request, before []*http.Request) error {
			if len(before) > maxRedirects {
				return fmt.Errorf("was sent on more than %d times", maxRedirects)
			}
			return CheckURL(next.URL.String())
		},
	}
}

// sameKind keeps connections with addresses of the same kind as that of the first one,
// so that an issuer out there can't have the gateway ask what only it can reach.
type sameKind struct {
	mu   sync.Mutex
	kind string // guarded by mu
}

// check implements net.Dialer.Control.
func (s *sameKind) check(_, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	kind := kindOf(to.Addr().Unmap())
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kind == "" {
		s.kind = kind
	}
	if kind != s.kind {
		return fmt.Errorf("%s is a %s address, the one before was a %s one", to.Addr(), kind, s.kind)
	}
	return nil
}

func kindOf(ip netip.Addr) string {
	switch {
	case ip.IsLoopback(), ip.IsUnspecified(): // to the system they are the same
		return "loopback"
	case ip.IsLinkLocalUnicast():
		return "link-local"
	case ip.IsPrivate():
		return "private"
	}
	return "public"
}

// CheckURL wants https; on this machine http will do.
func CheckURL(text string) error {
	u, err := url.Parse(text)
	if err != nil {
		return err
	}
	if u.Host == "" || u.Scheme != "https" && (u.Scheme != "http" || !loopback.Host(u.Hostname())) {
		return fmt.Errorf("%q is no https URL", text)
	}
	return nil
}
