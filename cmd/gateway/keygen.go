package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/zioflow/gateway/access"
	"github.com/zioflow/gateway/internal/pki"
)

// keygenCommand makes what a secured gateway and its peers need to begin with, and
// renews it. Only Renew and Rollover replace a file, and only its owner can read one with
// a secret. A secret's file has no newline at its end: some libraries take files whole.
type keygenCommand struct {
	Server   keygenServer   `cmd:"" help:"Make a gateway's keys: a certificate authority, a server certificate, CURVE keys."`
	Identity keygenIdentity `cmd:"" help:"Make an identity's token, certificate and CURVE keys; print its entry for the identities file."`
	Renew    keygenRenew    `cmd:"" help:"Make new certificates in the place of those in a folder of keys, by the same authority."`
	Rollover keygenRollover `cmd:"" help:"Replace the authority of a folder of keys; for a time both are trusted."`
	Cluster  keygenCluster  `cmd:"" help:"Make the keys of nodes of a cluster: an authority of its own, and a folder for each node."`
	Curve    keygenCurve    `cmd:"" help:"Make a pair of CURVE keys."`
	Token    keygenToken    `cmd:"" help:"Make a bearer token; print it, once, and its hash for the identities file."`
}

// Names of the files in a folder of keys.
const (
	caCertificate     = "ca.pem"
	caKey             = "ca.key"
	serverCertificate = "server.pem"
	serverKey         = "server.key"
	serverCurve       = "server.curve"
)

// curvePublic is the public key's file beside that of the secret one.
func curvePublic(secret string) string { return secret + ".pub" }

// keygenServer makes a folder of keys.
type keygenServer struct {
	Folder string        `arg:"" help:"Where the files go; is made if it is missing."`
	Host   []string      `default:"localhost,127.0.0.1" help:"Names and addresses under which clients reach the gateway."`
	Valid  time.Duration `default:"8760h" help:"How long the server certificate is valid; the authority is ten times as long."`
}

// Run tells of every file.
func (k *keygenServer) Run() error {
	if err := os.MkdirAll(k.Folder, 0o700); err != nil {
		return err
	}
	ca, err := pki.NewCA("ZIO flow gateway CA", 10*k.Valid)
	if err != nil {
		return err
	}
	pair, err := ca.Server(k.Host, k.Valid)
	if err != nil {
		return err
	}
	public, secret := access.NewCurveKeys()
	return writeAll(os.Stdout, k.Folder, []keyFile{
		{caCertificate, ca.Certificate, false, "the authority's certificate, for clients (--tls-ca) and the gateway (--tls-client-ca)"},
		{caKey, ca.Key, true, "the authority's key; the gateway does not need it"},
		{serverCertificate, pair.Certificate, false, "the gateway's certificate (--tls-cert), for " + strings.Join(k.Host, ", ")},
		{serverKey, pair.Key, true, "its key (--tls-key)"},
		{serverCurve, []byte(secret.String()), true, "the gateway's CURVE secret key (--zmq-curve-key)"},
		{curvePublic(serverCurve), []byte(public.String()), false, "its public key, for ZeroMQ peers (--curve-server)"},
	})
}

// keygenIdentity adds an identity to a folder of keys.
type keygenIdentity struct {
	Folder string        `arg:"" help:"The folder that keygen server has made."`
	Name   string        `arg:"" help:"The identity's name."`
	Role   []string      `required:"" help:"client, handler or admin; may repeat."`
	Valid  time.Duration `default:"8760h" help:"How long token and certificate are valid."`
}

// Run prints the entry to standard output, and tells of the files on standard
// error.
func (k *keygenIdentity) Run() error {
	token, hash := access.NewToken()
	public, secret := access.NewCurveKeys()
	entry := fmt.Sprintf("- name: %s\n  roles: [%s]\n  curve-keys: ['%s']\n  certificates: ['cn:%s']\n  tokens:\n  - sha256: %s\n    expires: %s\n",
		k.Name, strings.Join(k.Role, ", "), public, k.Name, hash, time.Now().Add(k.Valid).UTC().Format(time.RFC3339))
	if _, err := access.Parse([]byte("identities:\n" + entry)); err != nil {
		return err
	}
	if filepath.Base(k.Name) != k.Name {
		return fmt.Errorf("name: %s can't be part of a file's name", k.Name)
	}
	pair, err := k.certify()
	if err != nil {
		return err
	}
	if err := writeAll(os.Stderr, k.Folder, []keyFile{
		{k.Name + ".pem", pair.Certificate, false, "certificate (--tls-cert)"},
		{k.Name + ".key", pair.Key, true, "its key (--tls-key)"},
		{k.Name + ".curve", []byte(secret.String()), true, "CURVE secret key (--curve-key)"},
		{curvePublic(k.Name + ".curve"), []byte(public.String()), false, "its public key"},
		{k.Name + ".token", []byte(token), true, "bearer token (--token-file)"},
	}); err != nil {
		return err
	}
	_, err = fmt.Print(entry)
	return err
}

// certify makes a client certificate by the folder's authority.
func (k *keygenIdentity) certify() (pki.Pair, error) {
	ca, err := openAuthority(k.Folder)
	if err != nil {
		return pki.Pair{}, err
	}
	return ca.Client(k.Name, k.Valid)
}

// keygenCurve makes a pair of CURVE keys.
type keygenCurve struct {
	File string `arg:"" help:"The file for the secret key; the public one goes into FILE.pub."`
}

// Run tells of both files.
func (k *keygenCurve) Run() error {
	public, secret := access.NewCurveKeys()
	return writeAll(os.Stdout, filepath.Dir(k.File), []keyFile{
		{filepath.Base(k.File), []byte(secret.String()), true, "CURVE secret key"},
		{curvePublic(filepath.Base(k.File)), []byte(public.String()), false, "its public key, " + public.String()},
	})
}

// keygenToken makes a bearer token.
type keygenToken struct{}

// Run prints token and hash.
func (k *keygenToken) Run() error {
	token, hash := access.NewToken()
	_, err := fmt.Printf("token:  %s\nsha256: %s\n", token, hash)
	return err
}

// keyFile is a file to be made.
type keyFile struct {
	name   string
	text   []byte
	secret bool
	what   string
}

// writeAll makes the files, none of which may be there, and tells what each is.
func writeAll(out io.Writer, folder string, files []keyFile) error {
	for _, f := range files { // before the first is made
		if _, err := os.Lstat(filepath.Join(folder, f.name)); err == nil {
			return fmt.Errorf("%s is there already", filepath.Join(folder, f.name))
		} else if !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	for _, f := range files {
		path := filepath.Join(folder, f.name)
		mode := os.FileMode(0o644)
		if f.secret {
			mode = 0o600
		}
		if err := writeNew(path, f.text, mode); err != nil {
			return err
		}
		if _, err := fmt.Fprintf(out, "%s: %s\n", path, f.what); err != nil {
			return err
		}
	}
	return nil
}

// writeNew makes a file that must not be there.
func writeNew(path string, text []byte, mode os.FileMode) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	return errors.Join(err, file.Close())
}
