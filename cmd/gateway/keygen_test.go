package main

import (
	"bytes"
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/zioflow/gateway/cluster"
	"github.com/zioflow/gateway/internal/pki"
)

// keygen runs gateway keygen.
func keygen(arguments ...string) error {
	parsed, err := parse(append([]string{"keygen"}, arguments...))
	if err != nil {
		return err
	}
	return parsed.Run()
}

// mustKeygen has it succeed.
func mustKeygen(t *testing.T, arguments ...string) {
	t.Helper()
	if err := keygen(arguments...); err != nil {
		t.Fatalf("keygen %v: %v", arguments, err)
	}
}

// keyFolder is a folder with a server's keys and alice's.
func keyFolder(t *testing.T) string {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "keys [of] a*") // no pattern
	mustKeygen(t, "server", folder, "--valid=48h", "--host=localhost,gw.example.org")
	mustKeygen(t, "identity", folder, "alice", "--role=client", "--valid=96h")
	return folder
}

func readAll(t *testing.T, folder string, names ...string) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		all[name] = text
	}
	return all
}

// wantChanged compares files of the folder with what they were.
func wantChanged(t *testing.T, what, folder string, was map[string][]byte, changed ...string) {
	t.Helper()
	for name, text := range was {
		now, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
		want := strings.Contains(" "+strings.Join(changed, " ")+" ", " "+name+" ")
		if bytes.Equal(now, text) == want {
			t.Errorf("%s: that %s has changed should be %v", what, name, want)
		}
	}
}

// TestKeygenRenew: those that are meant are renewed, in their place, and nothing else.
func TestKeygenRenew(t *testing.T) {
	folder := keyFolder(t)
	foreign, err := pki.NewCA("somebody else", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "foreign.pem"), foreign.Certificate, 0o600); err != nil {
		t.Fatal(err)
	}
	all := []string{"ca.pem", "ca.key", "server.pem", "server.key", "alice.pem", "alice.key", "alice.curve", "alice.token", "foreign.pem"}
	for _, c := range []struct{ arguments, changed string }{
		{"", "server.pem alice.pem"},
		{"server", "server.pem"},
		{"alice server", "server.pem alice.pem"},
		{"--within=72h", "server.pem"},
		{"--within=1h", ""},
		{"alice --new-key", "alice.pem alice.key"},
		{"server --host=elsewhere", "server.pem"},
	} {
		was := readAll(t, folder, all...)
		mustKeygen(t, append([]string{"renew", folder}, strings.Fields(c.arguments)...)...)
		wantChanged(t, "renew "+c.arguments, folder, was, strings.Fields(c.changed)...)
		for _, name := range []string{"server", "alice"} {
			if _, err := (pki.Pair{
				Certificate: readAll(t, folder, name+".pem")[name+".pem"], Key: readAll(t, folder, name+".key")[name+".key"],
			}).TLS(); err != nil {
				t.Errorf("after renew %s: %v", c.arguments, err)
			}
		}
	}
	server, err := pki.Certificates(readAll(t, folder, "server.pem")["server.pem"])
	if err != nil || server[0].VerifyHostname("elsewhere") != nil || time.Until(server[0].NotAfter) > 48*time.Hour {
		t.Errorf("%v, %+v", err, server)
	}
	if left, err := filepath.Glob(filepath.Join(escapeGlob(folder), ".*")); err != nil || len(left) > 0 {
		t.Errorf("left behind are %v, %v", left, err)
	}
}

// TestKeygenRenewRefuses: nothing changes.
func TestKeygenRenewRefuses(t *testing.T) {
	folder := keyFolder(t)
	other := keyFolder(t)
	was := readAll(t, folder, "ca.pem", "ca.key", "server.pem", "alice.pem")
	if err := os.WriteFile(filepath.Join(folder, "odd.pem"), []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, text := range readAll(t, other, "server.pem") {
		if err := os.WriteFile(filepath.Join(folder, "other-"+name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for arguments, want := range map[string]string{
		"bob":                   "bob.pem: no such file",
		"odd":                   "odd.pem: has no certificate in PEM",
		"other-server":          "other-server.pem: is not by the authority in",
		"alice --host=x":        "is no server's certificate, so it has no hosts",
		"--host=x":              "host: name the one certificate that it is for, such as server",
		"alice --within=-1h":    "can't be negative",
		"server alice --host=x": "host: name the one certificate",
	} {
		err := keygen(append([]string{"renew", folder}, strings.Fields(arguments)...)...)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("renew %s: %v, want %q", arguments, err, want)
		}
	}
	if err := keygen("rollover", folder, "--finish"); err == nil || !strings.Contains(err.Error(), "nothing to finish") {
		t.Errorf("finish: %v", err)
	}
	if err := keygen("renew", t.TempDir()); err == nil || !strings.Contains(err.Error(), "ca.pem") {
		t.Errorf("an empty folder: %v", err)
	}
	wantChanged(t, "after all that", folder, was)
}

// TestKeygenRollover: each step leaves what the next one needs, and none can be done too
// early or twice.
func TestKeygenRollover(t *testing.T) {
	folder := keyFolder(t)
	trusted := func(name string, usage x509.ExtKeyUsage) error {
		files := readAll(t, folder, "ca.pem", name+".pem")
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(files["ca.pem"])
		certificate, err := pki.Certificates(files[name+".pem"])
		if err != nil {
			return err
		}
		_, err = certificate[0].Verify(x509.VerifyOptions{Roots: pool, KeyUsages: []x509.ExtKeyUsage{usage}})
		return err
	}
	wantTrusted := func(when string, names ...string) {
		t.Helper()
		for _, name := range names {
			usage := x509.ExtKeyUsageClientAuth
			if name == "server" {
				usage = x509.ExtKeyUsageServerAuth
			}
			if err := trusted(name, usage); err != nil {
				t.Errorf("%s: %s: %v", when, name, err)
			}
		}
	}
	wantError := func(words string, arguments ...string) {
		t.Helper()
		if err := keygen(arguments...); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("keygen %v: %v, want %q", arguments, err, words)
		}
	}

	mustKeygen(t, "rollover", folder)
	wantTrusted("begun", "server", "alice")
	mustKeygen(t, "identity", folder, "bob", "--role=client")
	wantTrusted("begun", "bob")
	wantError("has 2 authorities already", "rollover", folder)
	mustKeygen(t, "renew", folder, "server")
	wantError("alice.pem is by the old authority", "rollover", folder, "--finish")
	was := readAll(t, folder, "server.pem", "bob.pem", "alice.pem")
	mustKeygen(t, "renew", folder, "--within=1h")
	wantChanged(t, "what is by the old one is due", folder, was, "alice.pem")
	wantTrusted("renewed", "server", "alice", "bob")
	mustKeygen(t, "rollover", folder, "--finish")
	wantTrusted("finished", "server", "alice", "bob")
	if _, err := os.Stat(filepath.Join(folder, oldKey)); err == nil {
		t.Error("the old key is still there")
	}
	mustKeygen(t, "rollover", folder) // another time
}

// TestKeygenClusterRollover: the folders of nodes go along, step by step, and are taken at
// each.
func TestKeygenClusterRollover(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "keys [of] nodes*") // no pattern
	mustKeygen(t, "cluster", folder, "a", "b", "--valid=48h")
	at := func(name string) string { return filepath.Join(folder, name) }
	load := func(when, name string, authorities int) *cluster.Keys {
		t.Helper()
		k, err := cluster.LoadKeys(at(name))
		if err != nil || len(k.Authorities) != authorities {
			t.Fatalf("%s, %s: %+v, %v, want %d authorities", when, name, k, err, authorities)
		}
		return k
	}
	first := load("made", "a", 1)
	was := readAll(t, folder, "a/node.pem", "a/node.key", "a/ca.pem", "b/node.pem", "ca.pem")
	mustKeygen(t, "renew", folder, "a")
	wantChanged(t, "renew a", folder, was, "a/node.pem")
	was = readAll(t, folder, "a/node.pem", "b/node.pem")
	mustKeygen(t, "renew", folder, "--within=24h")
	wantChanged(t, "renew what is due", folder, was)
	if err := keygen("renew", folder, "a", "--host=x"); err == nil || !strings.Contains(err.Error(), "is a node's certificate") {
		t.Errorf("a node's certificate for a host: %v", err)
	}

	mustKeygen(t, "rollover", folder)
	load("begun", "a", 2)
	load("begun", "b", 2)
	mustKeygen(t, "cluster", folder, "c")
	load("begun", "c", 2)
	mustKeygen(t, "renew", folder, "a")
	if err := keygen("rollover", folder, "--finish"); err == nil || !strings.Contains(err.Error(), filepath.Join("b", "node.pem")+" is by the old authority") {
		t.Errorf("finished too early: %v", err)
	}
	mustKeygen(t, "renew", folder, "--within=1h")
	mustKeygen(t, "rollover", folder, "--finish")
	for _, name := range []string{"a", "b", "c"} {
		if k := load("finished", name, 1); k.Authorities[0].Equal(first.Authorities[0]) {
			t.Errorf("%s trusts the old authority", name)
		}
	}
}

// TestKeygenRolloverCut: one that ended after the bundle was written leaves the old
// authority at work, and --finish takes the new one out again.
func TestKeygenRolloverCut(t *testing.T) {
	folder := keyFolder(t)
	key := readAll(t, folder, caKey)[caKey]
	was := readAll(t, folder, "ca.pem")
	mustKeygen(t, "rollover", folder)
	if err := os.WriteFile(filepath.Join(folder, caKey), key, 0o600); err != nil { // as if it were not there yet
		t.Fatal(err)
	}
	mustKeygen(t, "renew", folder)
	mustKeygen(t, "rollover", folder, "--finish")
	wantChanged(t, "after all", folder, was)
}

// TestReplaceFile: mode and link stay.
func TestReplaceFile(t *testing.T) {
	folder := t.TempDir()
	path, link := filepath.Join(folder, "file"), filepath.Join(folder, "link")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o640); err != nil { //nolint:gosec // on purpose
		t.Fatal(err)
	}
	if err := os.Symlink("file", link); err != nil {
		t.Skip(err)
	}
	if err := replaceFile(link, []byte("new"), 0o644); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	info, statErr := os.Lstat(path)
	if err != nil || statErr != nil || string(text) != "new" || info.Mode() != 0o640 {
		t.Errorf("%q, %v, %v, %v", text, info.Mode(), err, statErr)
	}
	if target, err := os.Readlink(link); err != nil || target != "file" {
		t.Errorf("%s, %v", target, err)
	}
}
