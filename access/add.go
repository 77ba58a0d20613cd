package access

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/zioflow/gateway/access/jwks"
	"github.com/zioflow/gateway/broker/match"
)

func (r *Rules) addIdentity(entry fileIdentity) error {
	if err := checkName(entry.Name); err != nil {
		return fmt.Errorf("name: %w", err)
	}
	if r.identities[entry.Name] != nil {
		return errors.New("name: another identity has it")
	}
	id := &identity{name: entry.Name}
	var err error
	if id.roles, err = parseRoles(entry.Roles); err != nil {
		return fmt.Errorf("roles%w", err)
	}
	if id.limits, err = r.parseLimits(entry.Limits); err != nil {
		return fmt.Errorf("limits: %w", err)
	}
	r.identities[id.name] = id
	return r.addCredentials(id, entry)
}

func (r *Rules) addCredentials(id *identity, entry fileIdentity) error {
	for i, text := range entry.CurveKeys {
		key, err := ParseCurveKey(text)
		if err == nil && r.keys[key] != nil {
			err = fmt.Errorf("identity %s has the same key", r.keys[key].name)
		}
		if err != nil {
			return fmt.Errorf("curve-keys[%d]: %w", i, err)
		}
		r.keys[key] = id
	}
	for i, text := range entry.Tokens {
		t, err := text.parse()
		if err != nil {
			return fmt.Errorf("tokens[%d].%w", i, err)
		}
		if other := r.token(t.hash); other != nil {
			return fmt.Errorf("tokens[%d].sha256: identity %s has the same token", i, other.holder.name)
		}
		t.holder = id
		r.tokens = append(r.tokens, t)
	}
	for i, text := range entry.Certificates {
		name, err := parseCertificateName(text)
		if err != nil {
			return fmt.Errorf("certificates[%d]: %w", i, err)
		}
		if other := r.certificates[name]; other != nil {
			return fmt.Errorf("certificates[%d]: identity %s has the same name", i, other.name)
		}
		r.certificates[name] = id
	}
	return nil
}

func (t fileToken) parse() (parsed bearerToken, err error) {
	if parsed.hash, err = parseTokenHash(t.SHA256); err != nil {
		return parsed, fmt.Errorf("sha256: %w", err)
	}
	if t.Expires != "" {
		if parsed.expires, err = time.Parse(time.RFC3339, t.Expires); err != nil {
			return parsed, fmt.Errorf("expires: %q is no time such as 2027-01-31T12:00:00Z", t.Expires)
		}
	}
	return parsed, nil
}

// parseLimits reads limits, and takes note of the names that they own.
func (r *Rules) parseLimits(l fileLimits) (parsed limits, err error) {
	if l.MaxFlows < 0 {
		return parsed, fmt.Errorf("max-flows: is %d, want 0 or more", l.MaxFlows)
	}
	parsed.maxFlows = l.MaxFlows
	for i, word := range l.Directions {
		switch word {
		case "extract":
			parsed.extract = true
		case "inject":
			parsed.inject = true
		default:
			return parsed, fmt.Errorf("directions[%d]: %q is neither extract nor inject", i, word)
		}
	}
	if l.Attributes != "" {
		compiled, err := match.CompileRight(l.Attributes)
		if err != nil {
			return parsed, fmt.Errorf("attributes: %w", err)
		}
		parsed.match = compiled
	}
	patterns, err := checkPatterns(l.Names)
	if err != nil {
		return parsed, fmt.Errorf("listener-names%w", err)
	}
	r.owned.add(patterns)
	parsed.names = &nameRights{patterns, r.owned}
	return parsed, nil
}

func (r *Rules) addIssuer(entry fileIssuer) error {
	if err := jwks.CheckURL(entry.Issuer); err != nil {
		return fmt.Errorf("issuer: %w", err)
	}
	if r.issuers[entry.Issuer] != nil {
		return errors.New("issuer: stands here twice")
	}
	if entry.Audience == "" {
		return errors.New("audience: is empty; without it, tokens made for others would be taken")
	}
	if entry.JWKS != "" {
		if err := jwks.CheckURL(entry.JWKS); err != nil {
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
		keys:       jwks.NewSource(entry.Issuer, entry.JWKS),
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

func orElse(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}
