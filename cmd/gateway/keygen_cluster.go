package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/zioflow/gateway/cluster"
	"github.com/zioflow/gateway/internal/pki"
	"github.com/zioflow/gateway/internal/wholefile"
)

// keygenCluster makes what the nodes of a cluster know each other by.
type keygenCluster struct {
	Folder string        `arg:"" help:"Where the files go; is made if it is missing. If it has an authority, that one is used."`
	Node   []string      `arg:"" help:"Names of nodes: each has its own folder in this one, for --cluster-keys."`
	Valid  time.Duration `default:"8760h" help:"How long the nodes' certificates are valid; a new authority is ten times as long."`
}

// Run tells of every file.
func (k *keygenCluster) Run() error {
	for _, name := range k.Node {
		if filepath.Base(name) != name || name == "." || name == ".." {
			return fmt.Errorf("node: %s can't be a folder's name", name)
		}
		if _, err := os.Lstat(filepath.Join(k.Folder, name)); err == nil {
			return fmt.Errorf("%s is there already", filepath.Join(k.Folder, name))
		}
	}
	ca, trusted, err := k.authority()
	if err != nil {
		return err
	}
	for _, name := range k.Node {
		pair, err := ca.Peer(name, cluster.CommonName, k.Valid)
		if err != nil {
			return err
		}
		folder := filepath.Join(k.Folder, name)
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return err
		}
		if err := writeAll(os.Stdout, folder, []keyFile{
			{cluster.CACertificate, trusted, false, "the authority's certificate"},
			{cluster.Certificate, pair.Certificate, false, "the certificate of node " + name},
			{cluster.Key, pair.Key, true, "its key"},
		}); err != nil {
			return err
		}
	}
	return nil
}

// authority is the folder's, which is made if there is none, and what nodes are to trust:
// while it takes over from another, that one as well.
func (k *keygenCluster) authority() (ca *pki.CA, trusted []byte, err error) {
	path := filepath.Join(k.Folder, caCertificate)
	if _, err := os.Lstat(path); errors.Is(err, os.ErrNotExist) {
		ca, err := k.found()
		if err != nil {
			return nil, nil, err
		}
		return ca, ca.Certificate, nil
	}
	there, err := openAuthority(k.Folder)
	if err != nil {
		return nil, nil, err
	}
	trusted, err = wholefile.Read(path, wholefile.Keys)
	return there.CA, trusted, err
}

// found makes an authority.
func (k *keygenCluster) found() (*pki.CA, error) {
	if err := os.MkdirAll(k.Folder, 0o700); err != nil {
		return nil, err
	}
	ca, err := pki.NewCA("ZIO flow gateway cluster CA", 10*k.Valid)
	if err != nil {
		return nil, err
	}
	return ca, writeAll(os.Stdout, k.Folder, []keyFile{
		{caCertificate, ca.Certificate, false, "the cluster's authority"},
		{caKey, ca.Key, true, "its key, by which nodes are made: the gateways do not need it"},
	})
}
