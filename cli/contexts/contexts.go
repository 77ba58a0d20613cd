// Package contexts keeps named gateways, with what they are shown, in a file of the user's
// own: contexts.yaml in zio-gateway in the XDG configuration folder. Nobody else can read it.
package contexts

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"

	"go.yaml.in/yaml/v4"

	"github.com/zioflow/gateway/internal/wholefile"
	"github.com/zioflow/gateway/internal/yamlfile"
)

// Context is a gateway and what it is shown: contents, so that the files they were read from
// may go.
type Context struct {
	Address string `yaml:"address"`
	Token   string `yaml:"token,omitempty"`
	// TLSCA, TLSCert and TLSKey are in PEM; without the first, nothing is encrypted.
	TLSCA   string `yaml:"tls-ca,omitempty"`
	TLSCert string `yaml:"tls-cert,omitempty"`
	TLSKey  string `yaml:"tls-key,omitempty"`
}

// Store is the file. Its methods may be called by one goroutine at a time; two programs that
// change it at once leave it whole, with the changes of one of them.
type Store struct {
	path string

	content struct {
		Current  string             `yaml:"current,omitempty"`
		Contexts map[string]Context `yaml:"contexts"`
	}
}

// Path is where the file is, by the environment: $XDG_CONFIG_HOME, or the system's folder for
// users' configuration.
func Path() (string, error) {
	folder := os.Getenv("XDG_CONFIG_HOME")
	if !filepath.IsAbs(folder) { // the specification has such a value be ignored
		var err error
		if folder, err = os.UserConfigDir(); err != nil {
			return "", fmt.Errorf("there is no folder for contexts: %w", err)
		}
	}
	return filepath.Join(folder, "zio-gateway", "contexts.yaml"), nil
}

// Open reads the file at a path; one that is not there has no contexts.
func Open(path string) (*Store, error) {
	s := &Store{path: path}
	text, err := wholefile.Read(path, yamlfile.MaxSize)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("contexts: %w", err)
	}
	document, err := yamlfile.Parse(path, text)
	if err == nil {
		err = document.Load(&s.content)
	}
	if err != nil {
		return nil, fmt.Errorf("contexts: %w", err)
	}
	if s.content.Contexts == nil {
		s.content.Contexts = map[string]Context{}
	}
	return s, nil
}

// ErrUnknown tells that there is no context of that name.
var ErrUnknown = errors.New("there is no such context")

// Names are those of all contexts, sorted.
func (s *Store) Names() []string { return slices.Sorted(maps.Keys(s.content.Contexts)) }

// Current is the name of the context in use; empty for none.
func (s *Store) Current() string { return s.content.Current }

// Get returns the context of a name. The error is ErrUnknown.
func (s *Store) Get(name string) (Context, error) {
	c, there := s.content.Contexts[name]
	if !there {
		return c, fmt.Errorf("%w: %q; %s", ErrUnknown, name, s.hint())
	}
	return c, nil
}

func (s *Store) hint() string {
	if len(s.content.Contexts) == 0 {
		return "there are none yet, `gateway context add` makes one"
	}
	return fmt.Sprintf("there are %q", s.Names())
}

var validName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// ErrName tells that a context cannot have that name.
var ErrName = errors.New("a context's name has letters, digits, dots, dashes and underscores, 64 at the most, and begins with one of the first two")

// ErrExists tells that there is a context of that name already.
var ErrExists = errors.New("there is a context of that name")

// Add keeps a context; the first one comes into use. One of that name is replaced, if that
// is wanted.
func (s *Store) Add(name string, c Context, replace bool) error {
	if !validName.MatchString(name) {
		return fmt.Errorf("%w: %q has not", ErrName, name)
	}
	if _, there := s.content.Contexts[name]; there && !replace {
		return fmt.Errorf("%w: %q; --replace does so", ErrExists, name)
	}
	s.content.Contexts[name] = c
	if len(s.content.Contexts) == 1 {
		s.content.Current = name
	}
	return s.write()
}

// Use has a context be the one in use; an empty name, none.
func (s *Store) Use(name string) error {
	if name != "" {
		if _, err := s.Get(name); err != nil {
			return err
		}
	}
	s.content.Current = name
	return s.write()
}

// Remove forgets a context. If it is in use, none is then.
func (s *Store) Remove(name string) error {
	if _, err := s.Get(name); err != nil {
		return err
	}
	delete(s.content.Contexts, name)
	if s.content.Current == name {
		s.content.Current = ""
	}
	return s.write()
}

// write has the file be replaced whole.
func (s *Store) write() error {
	text, err := yaml.Dump(&s.content)
	if err != nil {
		return err
	}
	folder := filepath.Dir(s.path)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return fmt.Errorf("contexts: %w", err)
	}
	file, err := os.CreateTemp(folder, ".contexts-") // 0600
	if err != nil {
		return fmt.Errorf("contexts: %w", err)
	}
	_, err = file.Write(text)
	err = errors.Join(err, file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), s.path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("contexts: %w", err), os.Remove(file.Name()))
	}
	return nil
}
