package main_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/zioflow/gateway/access"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/internal/native"
	"github.com/zioflow/gateway/zmqbridge"
)

// library is an implementation of ZeroMQ that is not ours; peers/README.md.
type library struct {
	name    string
	sockets []transportName
	curve   bool
	// pings tells that it knows PING: it can ask for a sign of life. Only one that speaks
	// ZMTP 3.1 is asked itself.
	pings, pinged bool
	// command is the program of a peer.
	command func() ([]string, error)
}

// thorough tells that there is time for every combination, and for libraries that take
// long to set up: with the build tag soak.
var thorough bool

// libraries are those that the tests use; more if they are thorough.
var libraries = []*library{
	{name: "libzmq", sockets: []transportName{viaClient, viaDealer}, curve: true, pings: true, pinged: true, command: builtC},
	{name: "node", sockets: []transportName{viaClient, viaDealer}, curve: true, pings: true, pinged: true,
		command: ready("node", "node/wire.mjs", "node/node_modules/zeromq")},
	{name: "pyzmq", sockets: []transportName{viaDealer}, curve: true, pings: true, pinged: true,
		command: ready("../.deps/python/bin/python", "peers/python/peer.py")},
	{name: "go-zeromq", sockets: []transportName{viaDealer}, command: builtGo},
}

// ready is a program that need not be built. All files have to be there.
func ready(interpreter, program string, files ...string) func() ([]string, error) {
	return func() ([]string, error) {
		for _, file := range append(files, program) {
			if _, err := os.Stat(file); err != nil {
				return nil, fmt.Errorf("%w: run `scripts/setup.sh test`", err)
			}
		}
		return []string{interpreter, program}, nil
	}
}

// builtC builds peers/c with the libzmq that the tests are linked with.
var builtC = sync.OnceValues(func() ([]string, error) {
	flags, err := exec.Command("pkg-config", "--cflags", "--libs", "libzmq").CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("pkg-config libzmq: %w\n%s", err, flags)
	}
	return build("peer-c", ".", "cc", append([]string{"-O2", "-Wall", "-Werror", "peers/c/peer.c"}, strings.Fields(string(flags))...))
})

// builtGo builds peers/go, a module of its own.
var builtGo = sync.OnceValues(func() ([]string, error) { return build("peer-go", "peers/go", "go", nil) })

// build has a compiler make a program.
func build(name, dir, compiler string, arguments []string) ([]string, error) {
	scratch, err := scratch()
	if err != nil {
		return nil, err
	}
	path := filepath.Join(scratch, name)
	arguments = append([]string{"-o", path}, arguments...)
	if compiler == "go" {
		arguments = append([]string{"build"}, arguments...)
	}
	command := exec.Command(compiler, arguments...)
	command.Dir = dir
	if out, err := command.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%v: %w\n%s", command, err, out)
	}
	return []string{path}, nil
}

// foreignKind is a kind of peer on one of the libraries.
type foreignKind struct {
	*library
	via transportName
}

func (k foreignKind) String() string { return k.name + " " + string(k.via) }

// foreignKinds are the kinds there are; with CURVE not all. The libzmq engine sends
// PINGs to peers of ZMTP 3.0 as well, which may take them for messages.
func foreignKinds(curve bool) (kinds []foreignKind) {
	for _, l := range libraries {
		if curve && !l.curve || engine() == "libzmq" && !l.pings {
			continue
		}
		for _, via := range l.sockets {
			kinds = append(kinds, foreignKind{l, via})
		}
	}
	return kinds
}

// onBothMechanisms runs a test with NULL and with CURVE, at the same time.
func onBothMechanisms(t *testing.T, test func(t *testing.T, curve bool)) {
	t.Parallel()
	for name, curve := range map[string]bool{"NULL": false, "CURVE": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, curve)
		})
	}
}

// foreignGateway is a gateway that foreign peers connect to, and its listener.
type foreignGateway struct {
	*inProcess
	listener *listener
	// keys are what its native peers need, nil without CURVE.
	keys *native.CurveKeys
}

// startBoth starts a gateway with NULL and one with CURVE, for tests that wait rather
// than work: what waits for both at once leaves the processors to other tests.
func startBoth(t *testing.T, change func(*zmqbridge.Options)) []*foreignGateway {
	t.Helper()
	return []*foreignGateway{startForeign(t, false, change), startForeign(t, true, change)}
}

func startForeign(t *testing.T, curve bool, change func(*zmqbridge.Options)) *foreignGateway {
	t.Helper()
	g := &foreignGateway{}
	g.inProcess = startGateway(t, func(s *settings) {
		s.bridge = func(o *zmqbridge.Options) {
			if curve {
				g.keys = useCurve(t, o)
			}
			if change != nil {
				change(o)
			}
		}
	})
	g.listener = g.listen(t, &gatewayv1.ListenRequest{Name: "all"})
	return g
}

// useCurve makes keys and has the bridge ask for them.
func useCurve(t *testing.T, o *zmqbridge.Options) *native.CurveKeys {
	t.Helper()
	keys, secret := newCurveKeys(t)
	rules, err := access.Parse([]byte("identities: [{name: peer, roles: [client, handler], curve-keys: ['" + keys.Public + "']}]"))
	if err != nil {
		t.Fatal(err)
	}
	o.CurveKey, o.Access = secret, access.NewPolicy(rules, o.Log, nil)
	return keys
}

// newCurveKeys makes what a peer needs, and the gateway's secret key.
func newCurveKeys(t *testing.T) (keys *native.CurveKeys, secret string) {
	t.Helper()
	keys = new(native.CurveKeys)
	var err error
	if keys.Server, secret, err = native.NewCurvePair(); err != nil {
		t.Fatal(err)
	}
	if keys.Public, keys.Secret, err = native.NewCurvePair(); err != nil {
		t.Fatal(err)
	}
	return keys, secret
}

// foreign attaches a foreign peer.
func (g *foreignGateway) foreign(t *testing.T, k foreignKind, settings ...string) *foreignPeer {
	t.Helper()
	return startForeignPeer(t, k, g.addresses[k.via], g.keys, settings...)
}

// foreignOf attaches a foreign peer of every kind that is wanted: all are started at once.
func (g *foreignGateway) foreignOf(t *testing.T, wanted func(foreignKind) bool, settings ...string) (peers []*foreignPeer) {
	t.Helper()
	for _, k := range foreignKinds(g.keys != nil) {
		if wanted(k) {
			peers = append(peers, g.foreign(t, k, settings...))
		}
	}
	return peers
}

func anyKind(foreignKind) bool { return true }

// partner attaches a peer of this process: a gRPC one, which CURVE is nothing to.
func (g *foreignGateway) partner(t *testing.T) peer {
	t.Helper()
	return g.dial(t, viaGRPC)
}
