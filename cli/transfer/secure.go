package transfer

import (
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"github.com/zioflow/gateway/access"
	"github.com/zioflow/gateway/cli/contexts"
	"github.com/zioflow/gateway/cli/remote"
	zioflow "github.com/zioflow/gateway/clients/go"
	"github.com/zioflow/gateway/internal/secretfile"
	"github.com/zioflow/gateway/internal/wholefile"
	"github.com/zioflow/gateway/zmtp"
)

// secure says how a command proves who it is.
type secure struct {
	TLSCA       string `name:"tls-ca" help:"Encrypt gRPC, and trust gateways by this authority." placeholder:"FILE" env:"-"`
	TLSCert     string `name:"tls-cert" help:"Show this client certificate." placeholder:"FILE" env:"-"`
	TLSKey      string `name:"tls-key" help:"The certificate's private key." placeholder:"FILE" env:"-"`
	TokenFile   string `help:"Show the bearer token in this file." placeholder:"FILE" env:"-"`
	CurveServer string `help:"Use CURVE over ZeroMQ; the gateway's public key is in this file." placeholder:"FILE" env:"-"`
	CurveKey    string `help:"The own secret key is in this file." placeholder:"FILE" env:"-"`
}

// dialOptions are what gRPC needs of it; what it does not say, the context does.
func (f *secure) dialOptions(named contexts.Context) ([]zioflow.DialOption, error) {
	if (f.TLSCert == "") != (f.TLSKey == "") {
		return nil, errors.New("--tls-cert and --tls-key need each other")
	}
	if f.TokenFile != "" {
		token, err := secretfile.Read(f.TokenFile)
		if err != nil {
			return nil, fmt.Errorf("--token-file: %w", err)
		}
		named.Token = token
	}
	for _, file := range []struct {
		option, path, want string
		content            *string
	}{
		{"--tls-ca", f.TLSCA, "CERTIFICATE", &named.TLSCA}, {"--tls-cert", f.TLSCert, "CERTIFICATE", &named.TLSCert},
		{"--tls-key", f.TLSKey, "PRIVATE KEY", &named.TLSKey},
	} {
		if file.path == "" {
			continue
		}
		content, err := readPEM(file.option, file.path, file.want)
		if err != nil {
			return nil, err
		}
		*file.content = string(content)
	}
	return remote.DialOptions(named, f.TLSCert, f.TLSKey)
}

// readPEM reads a file in PEM that has to have a block whose type ends so.
func readPEM(option, path, want string) ([]byte, error) {
	text, err := wholefile.Read(path, wholefile.Keys)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", option, err)
	}
	names := map[string]string{"CERTIFICATE": "certificate", "PRIVATE KEY": "private key"}
	found := "nothing in PEM"
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if strings.HasSuffix(block.Type, want) {
			return text, nil
		}
		for kind, name := range names {
			if strings.HasSuffix(block.Type, kind) {
				found = "a " + name
			}
		}
	}
	return nil, fmt.Errorf("%s: %s has %s, want a %s", option, path, found, names[want])
}

// curve is what ZeroMQ needs of it; nil for no CURVE.
func (f *secure) curve() (*zmtp.CurveKeys, error) {
	switch {
	case f.CurveServer == "" && f.CurveKey == "":
		return nil, nil
	case f.CurveServer == "" || f.CurveKey == "":
		return nil, errors.New("--curve-server and --curve-key need each other")
	}
	server, err := readCurveKey(f.CurveServer)
	if err != nil {
		return nil, fmt.Errorf("--curve-server: %w", err)
	}
	secret, err := readCurveKey(f.CurveKey)
	if err != nil {
		return nil, fmt.Errorf("--curve-key: %w", err)
	}
	public, err := secret.Public()
	switch {
	case err != nil:
		return nil, fmt.Errorf("--curve-key: %s: %w", f.CurveKey, err)
	case isPair(server, f.CurveServer+publicEnding):
		return nil, fmt.Errorf("--curve-server: %s is a secret key: the public one is in %s", f.CurveServer, f.CurveServer+publicEnding)
	case strings.HasSuffix(f.CurveKey, publicEnding) && isPublic(secret, strings.TrimSuffix(f.CurveKey, publicEnding)):
		return nil, fmt.Errorf("--curve-key: %s is a public key: the secret one is in %s", f.CurveKey, strings.TrimSuffix(f.CurveKey, publicEnding))
	}
	return &zmtp.CurveKeys{Server: server, Secret: secret, Public: public}, nil
}

// publicEnding is what keygen puts behind the name of a secret key's file for its public
// key. A key does not show which of both it is, but its neighbour does.
const publicEnding = ".pub"

// isPair tells whether a key is the secret one of the public key in a file.
func isPair(secret access.CurveKey, publicPath string) bool {
	neighbour, err := readCurveKey(publicPath)
	if err != nil {
		return false
	}
	public, err := secret.Public()
	return err == nil && public == neighbour
}

// isPublic tells whether a key is the public one of the secret key in a file.
func isPublic(key access.CurveKey, secretPath string) bool {
	neighbour, err := readCurveKey(secretPath)
	if err != nil {
		return false
	}
	public, err := neighbour.Public()
	return err == nil && public == key
}

// readCurveKey reads a file with a key in Z85.
func readCurveKey(path string) (key access.CurveKey, err error) {
	text, err := secretfile.Read(path)
	if err != nil {
		return key, err
	}
	if key, err = access.ParseCurveKey(text); err != nil {
		return key, fmt.Errorf("%s: %w", path, err)
	}
	return key, nil
}
