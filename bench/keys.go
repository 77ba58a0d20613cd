package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// keys are those of a gateway that asks for CURVE, of its baseline and of all
// their peers, which are one identity: an offer to a listener can be accepted
// only by the same.
type keys struct {
	dir                        string // has the files for the gateway
	serverSecret, serverPublic string
	clientPublic, clientSecret string
	token                      bearer
}

const (
	identitiesFile = "identities.yaml"
	serverKeyFile  = "server.curve"
)

// makeKeys has the gateway's own keygen make them, in a folder of their own.
func makeKeys(gateway, dir string) (*keys, error) {
	if err := command(".", gateway, "keygen", "server", dir); err != nil {
		return nil, err
	}
	entry, err := exec.Command(gateway, "keygen", "identity", dir, "bench", "--role=client,handler").Output()
	if err != nil {
		return nil, fmt.Errorf("keygen identity: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, identitiesFile), append([]byte("identities:\n"), entry...), 0o600); err != nil {
		return nil, err
	}
	k := &keys{dir: dir}
	var token string
	for name, to := range map[string]*string{
		serverKeyFile: &k.serverSecret, serverKeyFile + ".pub": &k.serverPublic,
		"bench.curve": &k.clientSecret, "bench.curve.pub": &k.clientPublic, "bench.token": &token,
	} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		*to = strings.TrimSpace(string(text))
	}
	k.token = bearer(token)
	return k, nil
}

// flags have a gateway ask for them.
func (k *keys) flags() []string {
	return []string{
		"--identities=" + filepath.Join(k.dir, identitiesFile), "--zmq-curve-key=" + filepath.Join(k.dir, serverKeyFile),
	}
}

// socket is what native/load.c is told of its sockets.
func (k *keys) socket() string { return "curve:" + k.serverPublic + k.clientPublic + k.clientSecret }

// bearer is a token that is shown with every call, over loopback and so in clear
// text. The empty one is not shown.
type bearer string

// GetRequestMetadata implements credentials.PerRPCCredentials.
func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	if b == "" {
		return nil, nil
	}
	return map[string]string{"authorization": "Bearer " + string(b)}, nil
}

// RequireTransportSecurity implements credentials.PerRPCCredentials.
func (bearer) RequireTransportSecurity() bool { return false }
