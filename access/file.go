package access

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/zioflow/gateway/broker/match"
)

// file is an identities file.
type file struct {
	Identities []fileIdentity `yaml:"identities"`
	JWT        []fileIssuer   `yaml:"jwt"`
}

type fileIdentity struct {
	Name         string      `yaml:"name"`
	Roles        []string    `yaml:"roles"`
	CurveKeys    []string    `yaml:"curve-keys"`
	Tokens       []fileToken `yaml:"tokens"`
	Certificates []string    `yaml:"certificates"`
	Limits       fileLimits  `yaml:"limits"`
}

type fileToken struct {
	SHA256  string `yaml:"sha256"`
	Expires string `yaml:"expires"`
}

type fileLimits struct {
	MaxFlows   int      `yaml:"max-flows"`
	Directions []string `yaml:"directions"`
	Attributes string   `yaml:"attributes"`
	Names      []string `yaml:"listener-names"`
}

type fileIssuer struct {
	Issuer     string              `yaml:"issuer"`
	Audience   string              `yaml:"audience"`
	JWKS       string              `yaml:"jwks"`
	NameClaim  string              `yaml:"name-claim"`
	NamePrefix string              `yaml:"name-prefix"`
	RolesClaim string              `yaml:"roles-claim"`
	Roles      map[string][]string `yaml:"roles"`
	Limits     fileLimits          `yaml:"limits"`
}

// Load reads an identities file. The error names the file and the field.
func Load(path string) (*Rules, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if len(bytes.TrimSpace(text)) == 0 { // somebody is about to write it
		return nil, fmt.Errorf("%s: is empty; `identities: []` lets nobody in", path)
	}
	rules, err := Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return rules, nil
}

// Parse reads the text of an identities file. The error names the field.
func Parse(text []byte) (*Rules, error) {
	var f file
	if err := yaml.NewDecoder(bytes.NewReader(text), yaml.Strict()).Decode(&f); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	r := &Rules{
		identities: map[string]*identity{}, keys: map[CurveKey]*identity{},
		certificates: map[string]*identity{}, issuers: map[string]*issuer{}, owned: owned{},
	}
	for i, entry := range f.Identities {
		if err := r.addIdentity(entry); err != nil {
			return nil, fmt.Errorf("identities[%d]%s: %w", i, named(entry.Name), err)
		}
	}
	for i, entry := range f.JWT {
		if err := r.addIssuer(entry); err != nil {
			return nil, fmt.Errorf("jwt[%d]%s: %w", i, named(entry.Issuer), err)
		}
	}
	if err := f.checkPrefixes(); err != nil {
		return nil, err
	}
	return r, nil
}

// checkPrefixes refuses issuers of whom one could give a name that is another's, or an
// identity's of the file: of today, or of tomorrow.
func (f *file) checkPrefixes() error {
	for i, entry := range f.JWT {
		where := fmt.Sprintf("jwt[%d]%s: name-prefix", i, named(entry.Issuer))
		for j, other := range f.JWT {
			if j != i && strings.HasPrefix(entry.NamePrefix, other.NamePrefix) {
				return fmt.Errorf("%s: %q begins with %q, that of jwt[%d]%s, so their names could not be told apart",
					where, entry.NamePrefix, other.NamePrefix, j, named(other.Issuer))
			}
		}
		for j, id := range f.Identities {
			if strings.HasPrefix(id.Name, entry.NamePrefix) {
				return fmt.Errorf("%s: is %q, with which the name of identities[%d]%s begins, so that the issuer could give it: "+
					"write another, such as \"login:\"", where, entry.NamePrefix, j, named(id.Name))
			}
		}
	}
	return nil
}

func named(name string) string {
	if name == "" {
		return ""
	}
	return " (" + name + ")"
}

// validName is what a name may be: it stands in logs, metrics and metadata.
var validName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:@/+-]{0,126}$`)

func checkName(name string) error {
	if !validName.MatchString(name) {
		return fmt.Errorf("%q is not up to 127 letters, digits and . _ : @ / + -, the first a letter or digit", name)
	}
	return nil
}

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

// parseRoles reads a list of roles, of which there must be one. The error begins
// with the index.
func parseRoles(words []string) (map[Role]bool, error) {
	if len(words) == 0 {
		return nil, fmt.Errorf(": is empty, want some of %s", joinWords(Roles))
	}
	roles := map[Role]bool{}
	for i, word := range words {
		role, err := parseRole(word)
		if err != nil {
			return nil, fmt.Errorf("[%d]: %w", i, err)
		}
		roles[role] = true
	}
	return roles, nil
}

func (t fileToken) parse() (parsed token, err error) {
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
