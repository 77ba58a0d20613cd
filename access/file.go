package access

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/goccy/go-yaml"
)

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
