package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// programs are the paths of what takes part in a measurement.
type programs struct {
	gateway      string
	gatewayFlags []string             // besides those that it always has here
	relays       map[transport]string // the baselines
	loads        map[transport]string // the load generators
}

const module = "github.com/zioflow/gateway"

// gatewayChoice says which gateway is measured.
type gatewayChoice struct {
	Gateway      string   `help:"Measure this program; without it, that of the source." placeholder:"FILE"`
	GatewayFlags []string `sep:"none" help:"A further flag for gateway serve; may repeat." placeholder:"FLAG"`
}

// prepare builds everything into bin/bench.
func (c *gatewayChoice) prepare() (*programs, error) {
	root, err := moduleRoot()
	if err != nil {
		return nil, err
	}
	p, err := build(root, filepath.Join(root, "bin", "bench"), c.Gateway)
	if err != nil {
		return nil, err
	}
	p.gatewayFlags = c.GatewayFlags
	return p, nil
}

// build builds all of them into a directory, from the module's source at root;
// the gateway only if none is given.
func build(root, dir, gateway string) (*programs, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	client, router, libzmq := at("native-relay"), at("router-relay"), at("native-load")
	p := &programs{
		gateway: gateway,
		relays:  map[transport]string{native: client, curve: client, dealer: router, viaGRPC: at("grpc-relay")},
		loads:   map[transport]string{native: libzmq, curve: libzmq, dealer: libzmq, raw: at("raw-load"), viaGRPC: at("grpc-load")},
	}
	sources := map[string]string{
		p.relays[viaGRPC]: "/bench/grpcrelay", p.loads[viaGRPC]: "/bench/grpcload", p.loads[raw]: "/bench/rawload",
	}
	if gateway == "" {
		p.gateway = at("gateway")
		sources[p.gateway] = "/cmd/gateway"
	}
	for path, source := range sources {
		if err := goBuild(root, path, module+source); err != nil {
			return nil, err
		}
	}
	for path, sources := range map[string][]string{client: {"relay.c"}, router: {"router.c"}, libzmq: {"load.c", "wire.c"}} {
		if err := compile(filepath.Join(root, "bench", "native"), path, sources...); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// goBuild builds a Go program as users get it: without cgo, and so with one engine.
func goBuild(root, path, source string) error {
	c := exec.Command("go", "build", "-tags=", "-o", path, source)
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	return run(root, c)
}

// compile makes a C program, with the same libzmq as the gateway.
func compile(dir, path string, sources ...string) error {
	flags, err := exec.Command("pkg-config", "--cflags", "--libs", "libzmq").Output()
	if err != nil {
		return fmt.Errorf("pkg-config: %w; is scripts/env.sh sourced?", err)
	}
	arguments := append([]string{"-O2", "-Wall", "-Wextra", "-o", path}, sources...)
	return command(dir, "cc", append(arguments, strings.Fields(string(flags))...)...)
}

func command(dir, name string, arguments ...string) error {
	return run(dir, exec.Command(name, arguments...))
}

func run(dir string, c *exec.Cmd) error {
	c.Dir = dir
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(c.Args, " "), err, out)
	}
	return nil
}

// moduleRoot is where the module's source is.
func moduleRoot() (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		return "", fmt.Errorf("go list: %w; bench runs inside the module's source", err)
	}
	return strings.TrimSpace(string(out)), nil
}
