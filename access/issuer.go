package access

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/zioflow/gateway/internal/loopback"
)

// issuer is somebody who vouches for names by JWT.
type issuer struct {
	audience   string
	nameClaim  string
	namePrefix string
	rolesClaim []string          // the way through nested objects
	roles      map[string][]Role // by the claim's words; nil where these are the roles' own
	limits     limits
	keys       *keySource
}

func (r *Rules) addIssuer(entry fileIssuer) error {
	if err := checkURL(entry.Issuer); err != nil {
		return fmt.Errorf("issuer: %w", err)
	}
	if r.issuers[entry.Issuer] != nil {
		return errors.New("issuer: stands here twice")
	}
	if entry.Audience == "" {
		return errors.New("audience: is empty; without it, tokens made for others would be taken")
	}
	if entry.JWKS != "" {
		if err := checkURL(entry.JWKS); err != nil {
			return fmt.Errorf("jwks: %w", err)
		}
	}
	if entry.NamePrefix != "" {
		if err := checkName(entry.NamePrefix); err != nil {
			return fmt.Errorf("name-prefix: %w", err)
		}
	}
	i := &issuer{
		audience: entry.Audience, namePrefix: entry.NamePrefix,
		nameClaim:  orElse(entry.NameClaim, "sub"),
		rolesClaim: strings.Split(orElse(entry.RolesClaim, "roles"), "."),
		keys:       newKeySource(entry.Issuer, entry.JWKS),
	}
	var err error
	if i.limits, err = r.parseLimits(entry.Limits); err != nil {
		return fmt.Errorf("limits: %w", err)
	}
	if err := i.mapRoles(entry.Roles); err != nil {
		return err
	}
	r.issuers[entry.Issuer] = i
	return nil
}

func (i *issuer) mapRoles(entry map[string][]string) error {
	if entry == nil {
		return nil
	}
	i.roles = map[string][]Role{}
	for word, names := range entry {
		roles, err := parseRoles(names)
		if err != nil {
			return fmt.Errorf("roles.%s%w", word, err)
		}
		for role := range roles {
			i.roles[word] = append(i.roles[word], role)
		}
	}
	return nil
}

// holder is the identity of that name and those words in the roles claim.
func (i *issuer) holder(name string, words []string) *identity {
	id := &identity{name: name, roles: map[Role]bool{}, limits: i.limits}
	for _, word := range words {
		if i.roles == nil {
			if role, err := parseRole(word); err == nil {
				id.roles[role] = true
			}
			continue
		}
		for _, role := range i.roles[word] {
			id.roles[role] = true
		}
	}
	return id
}

// checkURL wants https; on this machine http will do.
func checkURL(text string) error {
	u, err := url.Parse(text)
	if err != nil {
		return err
	}
	if u.Host == "" || u.Scheme != "https" && (u.Scheme != "http" || !loopback.Host(u.Hostname())) {
		return fmt.Errorf("%q is no https URL", text)
	}
	return nil
}

func orElse(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}
