package access

import (
	"errors"
	"fmt"
	"strings"

	"github.com/zioflow/gateway/internal/yamlfile"
)

// Load reads an identities file. The error names the file, and the line and column of what
// is wrong.
func Load(path string) (*Rules, error) {
	d, err := yamlfile.Read(path)
	if err != nil {
		if p, ok := errors.AsType[*yamlfile.Problem](err); ok && p.Err.Error() == "is empty" { // somebody is about to write it
			p.Err = errors.New("is empty; `identities: []` lets nobody in")
		}
		return nil, err
	}
	return load(d)
}

// Parse reads the text of an identities file. The error names the field, and its line and
// column.
func Parse(text []byte) (*Rules, error) {
	d, err := yamlfile.Parse("identities", text)
	if err != nil {
		return nil, err
	}
	return load(d)
}

// load makes the rules that stand in a file.
func load(d *yamlfile.Document) (*Rules, error) {
	var f file
	if err := d.Load(&f); err != nil {
		return nil, err
	}
	r, err := f.rules()
	if err != nil {
		return nil, d.Locate(err)
	}
	return r, nil
}

// rules are what the file says. The error names the field.
func (f *file) rules() (*Rules, error) {
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
