package main_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestKeysThroughRollover: the files of keygen fit every client as they are; also while
// one authority replaces the other, and afterwards. The gateway runs all the time, and who
// has not heard of the new authority yet gets in until it is renewed without him.
func TestKeysThroughRollover(t *testing.T) {
	t.Parallel()
	keys := filepath.Join(t.TempDir(), "keys")
	s := &secured{keys: keys}
	s.keygen(t, "server", keys)
	s.write(t, "identities:\n"+s.keygen(t, "identity", keys, "alice", "--role=client"))
	s.program = serve(t, []string{
		"--default-routes", "--identities=" + s.identities(), "--zmq-curve-key=" + s.file("server.curve"),
		"--tls-cert=" + s.file("server.pem"), "--tls-key=" + s.file("server.key"),
		"--tls-client-ca=" + s.file("ca.pem"), "--tls-client-auth=optional",
	}, nil)
	k := &keyHolder{s, nodeClient(t)}
	k.wantAll(t)
	before := k.copyKeys(t)

	k.change(t, "rollover", keys)
	k.wantIn(t, "old", before, true)
	k.wantIn(t, "with both authorities", keys, true)

	half := k.copyKeys(t) // who has the bundle, and his certificate of before
	k.change(t, "renew", keys)
	k.wantAll(t)
	k.wantIn(t, "not renewed yet", half, true)
	k.wantIn(t, "who has not heard of it", before, false)

	k.change(t, "rollover", keys, "--finish")
	k.wantIn(t, "renewed", keys, true)
	k.wantIn(t, "not renewed in time", half, false)
}

// keyHolder is a secured gateway and the clients that come with its keys.
type keyHolder struct {
	*secured
	node string // clients/node, compiled: its index.js
}

// nodeClient compiles clients/node.
func nodeClient(t *testing.T) string {
	t.Helper()
	into := filepath.Join(t.TempDir(), "client")
	if out, err := exec.Command("node", "matrix/node/build.mjs", "../clients/node", into).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return filepath.Join(into, "index.js")
}

func (k *keyHolder) copyKeys(t *testing.T) string {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(folder, os.DirFS(k.keys)); err != nil {
		t.Fatal(err)
	}
	return folder
}

// change has keygen change the folder, and waits until the gateway has the change in force.
func (k *keyHolder) change(t *testing.T, arguments ...string) {
	t.Helper()
	reloads := func() int { return strings.Count(k.log.text(), "keys and certificates reloaded") }
	was := reloads()
	k.keygen(t, arguments...)
	authority := k.read(t, "ca.pem")
	eventually(t, "the gateway to take what keygen has made", func() error {
		if reloads() == was {
			return errors.New("nothing was reloaded")
		}
		served, err := tls.Dial("tcp", k.addresses[viaGRPC], &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}}) //nolint:gosec // looks only
		if err != nil {
			return err
		}
		defer func() { _ = served.Close() }()
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM([]byte(authority))
		if _, err := served.ConnectionState().PeerCertificates[0].Verify(x509.VerifyOptions{Roots: pool}); err != nil {
			return fmt.Errorf("the one before is served: %w", err)
		}
		return nil
	})
}

// run runs a program, and returns what it prints.
func (k *keyHolder) run(t *testing.T, command *exec.Cmd) (string, error) {
	t.Helper()
	var stderr strings.Builder
	command.Env, command.Stderr, command.WaitDelay = append(cleanEnvironment(), "ZIOFLOW="+k.node), &stderr, time.Second
	out, err := command.Output()
	if err != nil {
		err = fmt.Errorf("%v: %w\n%s", command.Args, err, stderr.String())
	}
	return string(out), err
}

// wantIn has the gateway's own get come by certificate with the keys in a folder.
func (k *keyHolder) wantIn(t *testing.T, who, folder string, want bool) {
	t.Helper()
	_, err := k.run(t, gatewayCommand(t, 3*patience, []string{
		"get", "--address=" + k.addresses[viaGRPC], "--tls-ca=" + filepath.Join(folder, "ca.pem"),
		"--tls-cert=" + filepath.Join(folder, "alice.pem"), "--tls-key=" + filepath.Join(folder, "alice.key"), "builtin=generate", "count=3",
	}, nil))
	if (err == nil) != want {
		t.Errorf("%s: let in is to be %v: %v", who, want, err)
	}
}

// wantAll has clients in all languages come with the files as they are.
func (k *keyHolder) wantAll(t *testing.T) {
	t.Helper()
	k.wantIn(t, "Go", k.keys, true)
	ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
	defer cancel()
	grpc, dealers := k.addresses[viaGRPC], k.addresses[viaDealer]
	for name, c := range map[string]struct {
		command *exec.Cmd
		prints  string
	}{
		"Python": {
			exec.CommandContext(ctx, "../.deps/python/bin/python", "keys/client.py", k.keys, grpc, dealers),
			"certificate 3\ntoken 3\ncurve 3\ngrpcio True\npyzmq True\n",
		},
		"Node": {
			exec.CommandContext(ctx, "node", "keys/client.mjs", k.keys, grpc, dealers),
			"certificate 3\ntoken 3\nzeromq handshake\n",
		},
		"grpcurl by certificate": {
			exec.CommandContext(ctx, "grpcurl", "-cacert", k.file("ca.pem"), "-cert", k.file("alice.pem"), "-key", k.file("alice.key"),
				grpc, "list", "zio.gateway.v1.HandlerService"),
			"zio.gateway.v1.HandlerService.Decline\nzio.gateway.v1.HandlerService.Listen\n",
		},
		"curl, as it reads a file": {
			exec.CommandContext(ctx, "bash", "-c", `curl -sS --http2 -o /dev/null -w '%header{content-type} %header{grpc-status}' `+
				`--cacert "$0" -H "authorization: Bearer $(< "$1")" -H 'content-type: application/grpc' -H 'te: trailers' -X POST "https://$2/no/Such"`,
				k.file("ca.pem"), k.file("alice.token"), grpc),
			"application/grpc 12",
		},
	} {
		if got, err := k.run(t, c.command); err != nil || got != c.prints {
			t.Errorf("%s prints %q, want %q: %v", name, got, c.prints, err)
		}
	}
}
