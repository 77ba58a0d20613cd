package access

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// The kinds of name that a certificate may have. A name begins with its kind wherever
// one is compared or shown: whom a CA lets choose a common name shall not get that of
// a host.
const (
	dnsName    = "dns:"
	uriName    = "uri:"
	emailName  = "email:"
	commonName = "cn:"
)

// validHost is a DNS name as certificates have it: in ASCII.
var validHost = regexp.MustCompile(`^[A-Za-z0-9_*-]+(\.[A-Za-z0-9_-]+)*$`)

// parseCertificateName reads a name of an identity's certificates. The kind may be
// missing where only one can be meant.
func parseCertificateName(text string) (string, error) {
	for _, kind := range []string{dnsName, uriName, emailName, commonName} {
		if len(text) >= len(kind) && strings.EqualFold(text[:len(kind)], kind) {
			return certificateName(kind, text[len(kind):])
		}
	}
	switch {
	case text == "":
		return "", errors.New("is empty")
	case strings.Contains(text, "://"):
		return certificateName(uriName, text)
	case strings.Contains(text, "@"):
		return certificateName(emailName, text)
	case validHost.MatchString(text):
		return "", fmt.Errorf("%q may be a DNS name or a common name: write dns:%[1]s, or cn:%[1]s for a certificate without alternative names, "+
			"such as keygen makes", text)
	}
	return "", fmt.Errorf("%q does not say its kind: write cn:%[1]s, uri:%[1]s, dns:… or email:…", text)
}

// certificateName is a name with its kind, in the form in which names are compared.
func certificateName(kind, text string) (string, error) {
	switch kind {
	case dnsName:
		if !validHost.MatchString(text) {
			return "", fmt.Errorf("%q is no DNS name", text)
		}
		text = strings.ToLower(text)
	case uriName:
		u, err := url.Parse(text)
		if err != nil || u.Scheme == "" {
			return "", fmt.Errorf("%q is no URI", text)
		}
		text = u.String()
	case emailName:
		if before, after, _ := strings.Cut(text, "@"); before == "" || after == "" {
			return "", fmt.Errorf("%q is no email address", text)
		}
	default:
		if text == "" {
			return "", fmt.Errorf("there is nothing after %s", kind)
		}
	}
	return kind + text, nil
}

// alternativeNames is the extension that has all of a certificate's names but the
// common one.
var alternativeNames = asn1.ObjectIdentifier{2, 5, 29, 17}

// namesOf are the names that a certificate proves, sorted. The common name is one only
// where there are no alternative names, of whatever kind: CAs that check those do not
// always check it.
func namesOf(c *x509.Certificate) []string {
	var names []string
	for _, name := range c.DNSNames {
		names = append(names, dnsName+strings.ToLower(name))
	}
	for _, name := range c.EmailAddresses {
		names = append(names, emailName+name)
	}
	for _, u := range c.URIs {
		names = append(names, uriName+u.String())
	}
	if name := c.Subject.CommonName; name != "" && !hasAlternatives(c) {
		names = append(names, commonName+name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func hasAlternatives(c *x509.Certificate) bool {
	if len(c.DNSNames)+len(c.EmailAddresses)+len(c.URIs)+len(c.IPAddresses) > 0 {
		return true
	}
	for _, extension := range c.Extensions { // names of kinds that are not parsed
		if extension.Id.Equal(alternativeNames) {
			return true
		}
	}
	return false
}

// unknownCertificate is the denial of a certificate that proves those names.
func unknownCertificate(c *x509.Certificate, names []string) *Denial {
	shown := strings.Join(names, ", ")
	if shown == "" {
		shown = "none"
	}
	if c.Subject.CommonName != "" && hasAlternatives(c) {
		shown += " (the common name does not count beside alternative names)"
	}
	return &Denial{Cause: UnknownCertificate, Detail: "no identity, or more than one, has the certificate's names: " + shown}
}
