package main_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	zioflow "github.com/zioflow/gateway/clients/go"
)

// TestGoMistakes: what the README of the Go client says of each mistake is what its user
// sees, in one line.
func TestGoMistakes(t *testing.T) {
	t.Parallel()
	at := newMistaken(t)
	dump := zioflow.Bot{Attributes: map[string]any{"builtin": "dump"}}
	put := func(address string, size int, options ...zioflow.DialOption) error {
		return with(address, options, func(g *zioflow.Gateway) error {
			giver, err := g.Give(t.Context(), dump)
			if err != nil {
				return err
			}
			defer giver.Abort()
			if err := giver.Put(t.Context(), zioflow.Dat{Payload: [][]byte{make([]byte, size)}}); err != nil {
				return err
			}
			return giver.Close(t.Context())
		})
	}
	small := zioflow.WithMaxMessage(1000)
	trust := zioflow.WithTLS(trusting(t, at.keys))
	seen := map[string]error{
		"the gateway is not running":  put("127.0.0.1:1", 1),
		"no host has that name":       put("gateway.invalid:7575", 1),
		"a URL for an address":        put("http://127.0.0.1:7575", 1),
		"a port for ZeroMQ":           put(at.zeroMQ, 1),
		"the port for HTTP":           put(at.http, 1),
		"TLS where there is none":     put(at.plain, 1, trust),
		"no TLS where there is some":  put(at.secure, 1),
		"another CA":                  put(at.secure, 1, zioflow.WithTLS(trusting(t, keygen(t)))),
		"no token":                    put(at.secure, 1, trust),
		"a wrong token":               put(at.secure, 1, trust, zioflow.WithToken("guess\n")),
		"the wrong file for a token":  put(at.secure, 1, trust, zioflow.WithToken(read(t, at.keys, "ca.pem"))),
		"an empty file for a token":   put(at.plain, 1, zioflow.WithToken("\n")),
		"a token without TLS":         put("192.0.2.1:7575", 1, zioflow.WithToken("secret")),
		"more than `WithMaxMessage`":  put(at.plain, 80_000, small),
		"more than the gateway takes": put(at.small, 200_000),
		"more comes than `WithMaxMessage`": with(at.plain, []zioflow.DialOption{small}, func(g *zioflow.Gateway) error {
			large := zioflow.Bot{Credit: 1, Attributes: map[string]any{"builtin": "generate", "count": 1, "size": 100_000}}
			taker, err := g.Take(t.Context(), large)
			if err != nil {
				return err
			}
			defer taker.Abort()
			_, err = taker.Next(t.Context())
			return err
		}),
		"no handler": with(at.impatient, nil, func(g *zioflow.Gateway) error {
			_, err := g.Take(t.Context(), zioflow.Bot{Credit: 1, Attributes: map[string]any{"to": "nobody"}})
			return err
		}),
		"the handler refuses": with(at.plain, nil, func(g *zioflow.Gateway) error { return refuse(t.Context(), g) }),
	}
	table := mistakesOf(t, "../clients/go/README.md")
	for mistake, err := range seen {
		got := "nothing"
		if err != nil {
			got = at.addresses.Replace(err.Error())
			got = flowNumber.ReplaceAllString(got, "flow 7 ended")
		}
		if want := table[mistake]; got != want {
			t.Errorf("%s:\n%s\nthe README says\n%s", mistake, got, want)
		}
		delete(table, mistake)
	}
	for mistake := range table {
		t.Errorf("nobody makes the mistake %s", mistake)
	}
}

var flowNumber = regexp.MustCompile(`flow \d+ ended`)

func with(address string, options []zioflow.DialOption, use func(*zioflow.Gateway) error) error {
	g, err := zioflow.Dial(address, options...)
	if err != nil {
		return err
	}
	return errors.Join(use(g), g.Close())
}

// refuse is the error of a flow whose handler refuses it.
func refuse(ctx context.Context, g *zioflow.Gateway) error {
	listening, stop := make(chan struct{}), make(chan struct{})
	handled, cancel := context.WithCancel(ctx)
	go func() {
		defer close(stop)
		l := zioflow.Listener{Name: "no", Match: `attributes.to == "no"`, OnListening: func(uint64) { close(listening) }}
		_ = g.Handle(handled, l, func(ctx context.Context, o *zioflow.Offer) error { return o.Decline(ctx, "not today") })
	}()
	defer func() { cancel(); <-stop }()
	select {
	case <-listening:
	case <-stop:
		return errors.New("it does not listen")
	}
	_, err := g.Give(ctx, zioflow.Bot{Credit: 1, Attributes: map[string]any{"to": "no"}})
	return err
}

// mistaken are the gateways that mistakes are made with.
type mistaken struct {
	plain, zeroMQ, http, secure, small, impatient string

	keys      string            // of secure, a folder
	addresses *strings.Replacer // to what the documents have
}

func newMistaken(t *testing.T) mistaken {
	t.Helper()
	at := mistaken{keys: keygen(t)}
	file := serve(t, nil, nil).readAddresses(t)
	at.plain, at.http, at.zeroMQ = file.GRPC, file.HTTP, strings.TrimPrefix(file.ZMQRouter[0], "tcp://")
	at.small = serve(t, []string{"--max-message=100000"}, nil).readAddresses(t).GRPC
	at.impatient = serve(t, []string{"--handler-wait=100ms"}, nil).readAddresses(t).GRPC
	identities := filepath.Join(at.keys, "identities.yaml")
	entry, err := gatewayCommand(t, patience, []string{"keygen", "identity", at.keys, "alice", "--role=client"}, nil).Output()
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, identities, "identities:\n"+string(entry))
	at.secure = serve(t, []string{
		"--identities=" + identities,
		"--tls-cert=" + filepath.Join(at.keys, "server.pem"), "--tls-key=" + filepath.Join(at.keys, "server.key"),
	}, nil).readAddresses(t).GRPC
	var pairs []string
	for _, address := range []string{at.plain, at.http, at.zeroMQ, at.small, at.impatient, at.secure} {
		pairs = append(pairs, address, "ADDRESS")
	}
	at.addresses = strings.NewReplacer(append(pairs, "127.0.0.1:1:", "ADDRESS:")...)
	return at
}

// keygen makes a gateway's keys in a folder of their own.
func keygen(t *testing.T) string {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "keys")
	if out, err := gatewayCommand(t, patience, []string{"keygen", "server", folder}, nil).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return folder
}

func read(t *testing.T, folder, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(folder, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func trusting(t *testing.T, keys string) *tls.Config {
	t.Helper()
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(read(t, keys, "ca.pem"))) {
		t.Fatal("no certificate")
	}
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS13}
}

var mistakeRow = regexp.MustCompile("(?m)^\\| ([^|]+) \\| `([^`]+)` \\|$")

// mistakesOf is the table of a client's README, by the mistake.
func mistakesOf(t *testing.T, path string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "\n## Mistakes\n")
	if !found {
		t.Fatalf("%s has no mistakes", path)
	}
	table := map[string]string{}
	for _, row := range mistakeRow.FindAllStringSubmatch(section, -1) {
		table[row[1]] = row[2]
	}
	return table
}
