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
	gateway string
	relays  map[transport]string // the baselines
	loads   map[transport]string // the load generators
}

const module = "github.com/zioflow/gateway"

// build builds all of them into a directory, from the module's source at root.
func build(root, dir string) (*programs, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	p := &programs{
		gateway: at("gateway"),
		relays:  map[transport]string{native: at("native-relay"), viaGRPC: at("grpc-relay")},
		loads:   map[transport]string{native: at("native-load"), viaGRPC: at("grpc-load")},
	}
	for path, source := range map[string]string{
		p.gateway: "/cmd/gateway", p.relays[viaGRPC]: "/bench/grpcrelay", p.loads[viaGRPC]: "/bench/grpcload",
	} {
		if err := command(root, "go", "build", "-o", path, module+source); err != nil {
			return nil, err
		}
	}
	for path, source := range map[string]string{p.relays[native]: "relay.c", p.loads[native]: "load.c"} {
		if err := compile(root, path, "bench/native/"+source); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// compile makes a C program, with the same libzmq as the gateway.
func compile(root, path, source string) error {
	flags, err := exec.Command("pkg-config", "--cflags", "--libs", "libzmq").Output()
	if err != nil {
		return fmt.Errorf("pkg-config: %w; is scripts/env.sh sourced?", err)
	}
	arguments := append([]string{"-O2", "-Wall", "-Wextra", "-o", path, source}, strings.Fields(string(flags))...)
	return command(root, "cc", arguments...)
}

func command(dir, name string, arguments ...string) error {
	c := exec.Command(name, arguments...)
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
