package main

import (
	"bytes"
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/zioflow/gateway/cluster"
	"github.com/zioflow/gateway/internal/pki"
	"github.com/zioflow/gateway/internal/wholefile"
)

// keygenRenew makes new certificates in the place of those in a folder of keys. Each file
// is replaced at once, so that whoever reads it has the old or the new one.
type keygenRenew struct {
	Folder string        `arg:"" help:"The folder that keygen server, or keygen cluster, has made."`
	Name   []string      `arg:"" optional:"" help:"Whose certificates: server, and names of identities, or of nodes. All of the folder's authority if none is named."`
	Within time.Duration `help:"Only those that expire within this time, or are by an authority that is being replaced: for a daily job." placeholder:"720h"`
	Valid  time.Duration `help:"How long they are valid; as long as those before if it is left out. None outlives its authority." placeholder:"8760h"`
	Host   []string      `help:"Names and addresses of the server, in the place of those before." placeholder:"NAME"`
	NewKey bool          `help:"Make a new private key as well. Otherwise that stays, and need not be in the folder."`
}

// Run tells of every certificate.
func (k *keygenRenew) Run() error {
	switch {
	case k.Within < 0 || k.Valid < 0:
		return errors.New("within and valid can't be negative")
	case k.Host != nil && len(k.Name) != 1:
		return errors.New("host: name the one certificate that it is for, such as server")
	}
	ca, err := openAuthority(k.Folder)
	if err != nil {
		return err
	}
	due, err := k.due(ca)
	if err != nil {
		return err
	}
	if len(due) == 0 {
		fmt.Println("no certificate is due")
	}
	for _, old := range due {
		if err := k.renew(ca, old); err != nil {
			return fmt.Errorf("%s: %w", old.path, err)
		}
	}
	return nil
}

// held is a certificate of a folder of keys.
type held struct {
	path string
	*x509.Certificate
}

// ofNode tells whether it is that of a cluster's node, in a folder of its own.
func (h held) ofNode() bool { return filepath.Base(h.path) == cluster.Certificate }

func (h held) keyPath() string { return strings.TrimSuffix(h.path, ".pem") + ".key" }

// due are the certificates to renew.
func (k *keygenRenew) due(ca *authority) ([]held, error) {
	all, err := ca.certificates(k.Name)
	if err != nil {
		return nil, err
	}
	if k.Within > 0 {
		soon := time.Now().Add(k.Within)
		all = slices.DeleteFunc(all, func(h held) bool { return h.NotAfter.After(soon) && ca.Issued(h.Certificate) })
	}
	return all, nil
}

func (k *keygenRenew) renew(ca *authority, old held) error {
	if k.Host != nil && old.ofNode() {
		return errors.New("is a node's certificate, which is for no host")
	}
	pair, err := ca.Renew(old.Certificate, pki.Renewal{Valid: k.Valid, Hosts: k.Host, NewKey: k.NewKey})
	if err != nil {
		return err
	}
	fresh, err := pki.Certificates(pair.Certificate)
	if err != nil {
		return err
	}
	if pair.Key != nil {
		if err := replaceFile(old.keyPath(), pair.Key, 0o600); err != nil {
			return err
		}
	}
	if err := replaceFile(old.path, pair.Certificate, 0o644); err != nil {
		return err
	}
	note := ""
	if until := fresh[0].NotAfter; k.Valid == 0 && until.Equal(ca.Expires()) {
		note = ", when its authority expires: gateway keygen rollover makes another"
	}
	_, err = fmt.Printf("%s: valid until %s, was %s%s\n", old.path, day(fresh[0].NotAfter), day(old.NotAfter), note)
	return err
}

func day(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// keygenRollover replaces the authority of a folder of keys by a new one. In between,
// both are trusted.
type keygenRollover struct {
	Folder string `arg:"" help:"The folder that keygen server, or keygen cluster, has made."`
	Finish bool   `help:"Trust the new authority alone. Refused while a certificate in the folder is by the old one."`
}

// oldKey is where the key of an authority is that is being replaced.
const oldKey = "ca.old.key"

// Run tells what there is, and what is to be done.
func (k *keygenRollover) Run() error {
	ca, err := openAuthority(k.Folder)
	if err != nil {
		return err
	}
	if k.Finish {
		return k.finish(ca)
	}
	return k.begin(ca)
}

func (k *keygenRollover) begin(ca *authority) error {
	if len(ca.trusted) > 1 {
		return fmt.Errorf("%s has %d authorities already: --finish ends that", ca.path, len(ca.trusted))
	}
	successor, bundle, err := ca.Successor()
	if err != nil {
		return err
	}
	old := filepath.Join(k.Folder, oldKey)
	if err := writeNew(old, ca.Key, 0o600); err != nil {
		return err
	}
	// If this ends in between, the old authority goes on, and --finish cleans up.
	if err := ca.replace(bundle); err != nil {
		return err
	}
	if err := replaceFile(filepath.Join(k.Folder, caKey), successor.Key, 0o600); err != nil {
		return err
	}
	nodes, err := ca.nodes()
	if err != nil {
		return err
	}
	if len(nodes) > 0 {
		_, err = fmt.Printf(`%s: both authorities, the new one valid until %s; so is that in every node's folder
%s: the new one's key; that of the old one is %s
1. Give every node its folder's %[5]s.
2. gateway keygen renew %[6]s, and give them their folders' %[7]s.
3. gateway keygen rollover %[6]s --finish, and give them %[5]s again.
`, ca.path, day(successor.Expires()), filepath.Join(k.Folder, caKey), old, cluster.CACertificate, k.Folder, cluster.Certificate)
		return err
	}
	_, err = fmt.Printf(`%s: both authorities, the new one valid until %s
%s: the new one's key; that of the old one is %s
1. Give %[1]s to every client and gateway.
2. gateway keygen renew %[5]s, and give the certificates to whom they are for.
3. gateway keygen rollover %[5]s --finish, and give them %[1]s again.
`, ca.path, day(successor.Expires()), filepath.Join(k.Folder, caKey), old, k.Folder)
	return err
}

func (k *keygenRollover) finish(ca *authority) error {
	if len(ca.trusted) == 1 {
		return fmt.Errorf("%s has one authority only: there is nothing to finish", ca.path)
	}
	all, err := ca.certificates(nil)
	if err != nil {
		return err
	}
	for _, h := range all {
		if !ca.Issued(h.Certificate) {
			return fmt.Errorf("%s is by the old authority: gateway keygen renew %s renews it", h.path, k.Folder)
		}
	}
	if err := ca.replace(ca.Certificate); err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(k.Folder, oldKey)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	_, err = fmt.Printf("%s: the new authority alone, valid until %s\n", ca.path, day(ca.Expires()))
	return err
}

// authority is that of a folder of keys.
type authority struct {
	*pki.CA
	path    string
	trusted []*x509.Certificate // those in its file: it, and perhaps the one that it replaces
}

func openAuthority(folder string) (*authority, error) {
	path := filepath.Join(folder, caCertificate)
	text, err := wholefile.Read(path, wholefile.Keys)
	if err != nil {
		return nil, err
	}
	key, err := wholefile.Read(filepath.Join(folder, caKey), wholefile.Keys)
	if err != nil {
		return nil, err
	}
	ca, err := pki.LoadCA(pki.Pair{Certificate: text, Key: key})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	trusted, err := pki.Certificates(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &authority{ca, path, trusted}, nil
}

// replace puts another text in the place of the authority's certificate: in its own folder,
// and in those of nodes that have been there when it was opened.
func (a *authority) replace(text []byte) error {
	nodes, err := a.nodes()
	if err != nil {
		return err
	}
	for _, folder := range nodes {
		if err := replaceFile(filepath.Join(folder, cluster.CACertificate), text, 0o644); err != nil {
			return err
		}
	}
	return replaceFile(a.path, text, 0o644)
}

// nodes are the folders of nodes that the authority, or the one that it replaces, has made.
func (a *authority) nodes() (folders []string, err error) {
	paths, err := filepath.Glob(filepath.Join(escapeGlob(filepath.Dir(a.path)), "*", cluster.Certificate))
	for _, path := range paths {
		if _, err := a.read(path); err == nil {
			folders = append(folders, filepath.Dir(path))
		}
	}
	return folders, err
}

// certificates are those with these names, or all that the authority, or the one that it
// replaces, has signed.
func (a *authority) certificates(names []string) (all []held, err error) {
	folder := filepath.Dir(a.path)
	if len(names) > 0 {
		for _, name := range names {
			path := filepath.Join(folder, name+".pem")
			if node := filepath.Join(folder, name, cluster.Certificate); !exists(path) && exists(node) {
				path = node
			}
			h, err := a.read(path)
			if err != nil {
				return nil, err
			}
			all = append(all, h)
		}
		return all, nil
	}
	paths, err := filepath.Glob(filepath.Join(escapeGlob(folder), "*.pem"))
	nodes, _ := a.nodes()
	for _, node := range nodes {
		paths = append(paths, filepath.Join(node, cluster.Certificate))
	}
	for _, path := range paths {
		if path == a.path {
			continue
		}
		if h, err := a.read(path); err == nil { // others may be anything
			all = append(all, h)
		}
	}
	return all, err
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// escapeGlob is a folder's name as filepath.Glob takes it literally.
func escapeGlob(name string) string {
	if os.PathSeparator == '\\' { // where nothing can be escaped
		return name
	}
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(name)
}

// read reads a certificate that the authority, or the one that it replaces, has signed.
func (a *authority) read(path string) (held, error) {
	text, err := wholefile.Read(path, wholefile.Keys)
	if err != nil {
		return held{}, err
	}
	found, err := pki.Certificates(text)
	if err != nil {
		return held{}, fmt.Errorf("%s: %w", path, err)
	}
	by := slices.ContainsFunc(a.trusted, func(ca *x509.Certificate) bool {
		return bytes.Equal(ca.RawSubject, found[0].RawIssuer) && found[0].CheckSignatureFrom(ca) == nil
	})
	if !by {
		return held{}, fmt.Errorf("%s: is not by the authority in %s", path, a.path)
	}
	return held{path, found[0]}, nil
}

// replaceFile puts another text in the place of a file at once: whoever reads it has the
// one or the other. What is there keeps its mode, and its owner if that can be. A link
// stays one.
func replaceFile(path string, text []byte, mode os.FileMode) (err error) {
	if target, linked := filepath.EvalSymlinks(path); linked == nil {
		path = target
	}
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(file.Name())
		}
	}()
	if before, there := os.Stat(path); there == nil {
		mode = before.Mode().Perm()
		likeOwner(file, before)
	}
	_, err = file.Write(text)
	if err = cmp.Or(err, file.Chmod(mode), file.Sync()); err != nil {
		return errors.Join(err, file.Close())
	}
	if err = file.Close(); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}
