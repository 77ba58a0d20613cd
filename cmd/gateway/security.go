package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"

	"github.com/zioflow/gateway/access"
	"github.com/zioflow/gateway/server"
	"github.com/zioflow/gateway/telemetry"
)

// securityFlags say who is let in, and what is encrypted.
type securityFlags struct {
	Identities       string `help:"Let in only whom this YAML file knows, and only for what it allows." placeholder:"FILE"`
	TLSCert          string `name:"tls-cert" help:"Encrypt gRPC with this certificate, in PEM." placeholder:"FILE"`
	TLSKey           string `name:"tls-key" help:"The certificate's private key." placeholder:"FILE"`
	TLSClientCA      string `name:"tls-client-ca" help:"Ask gRPC's clients for a certificate by one of these authorities." placeholder:"FILE"`
	TLSClientAuth    string `name:"tls-client-auth" default:"required" enum:"required,optional" help:"Whether a client must have one: required, or optional for those with a token."`
	TLSMinVersion    string `name:"tls-min-version" default:"1.3" enum:"1.2,1.3" help:"The oldest TLS version to take: 1.2 or 1.3."`
	ZMQCurveKey      string `name:"zmq-curve-key" help:"Have every ZeroMQ address ask for CURVE, with the secret key in this file." placeholder:"FILE"`
	ZMQPlainLocal    bool   `name:"zmq-plain-local" help:"But not those that only this machine can reach: whoever is on it may do everything there."`
	PublicReflection bool   `help:"Let everybody ask for the contract by gRPC reflection, not only identities."`
	PublicHTTP       bool   `name:"public-http" help:"Allow an --http address beyond loopback: it shows health and metrics to whoever asks."`
}

// watchInterval is how often the files are looked at, and tried again.
const watchInterval = retryReload

// validateSecurity names the option that makes no sense, or is not safe.
func (c *serveCommand) validateSecurity() error {
	f := &c.securityFlags
	for _, need := range []struct {
		set, there  bool
		option, why string
	}{
		{f.TLSCert != "", f.TLSKey != "", "--tls-cert", "needs --tls-key"},
		{f.TLSKey != "", f.TLSCert != "", "--tls-key", "needs --tls-cert"},
		{f.TLSClientCA != "", f.TLSCert != "", "--tls-client-ca", "needs --tls-cert and --tls-key"},
		{f.TLSClientCA != "", f.Identities != "", "--tls-client-ca", "needs --identities, which says whose the certificates are"},
		{f.ZMQCurveKey != "", f.Identities != "", "--zmq-curve-key", "needs --identities, which says whose the keys are"},
		{f.ZMQPlainLocal, f.ZMQCurveKey != "", "--zmq-plain-local", "needs --zmq-curve-key: without it no address asks for CURVE"},
	} {
		if need.set && !need.there {
			return fmt.Errorf("%s: %s", need.option, need.why)
		}
	}
	return c.validateReach()
}

// security is what decides who is let in. Its methods may be called concurrently
// but for close, which is called once.
type security struct {
	log    *slog.Logger
	flags  securityFlags
	engine string       // that speaks ZeroMQ
	gate   *access.Gate // for denials
	notes  *reloads
	policy *access.Policy // nil lets everybody in
	tls    *server.TLS    // nil for clear text

	reloading sync.Mutex         // one at a time
	curve     string             // guarded by reloading; secret key; empty for no CURVE
	setCurve  func(string) error // guarded by reloading; puts another one to use; nil before there is an address
	watcher   sync.WaitGroup
	stop      context.CancelFunc
}

// openSecurity reads the files, and watches them. The metrics are told of every denial
// and of every attempt to fetch an issuer's keys, the notes of what comes of a change.
func (c *serveCommand) openSecurity(log *slog.Logger, metrics *telemetry.Metrics, notes *reloads) (*security, error) {
	s := &security{
		log: log, flags: c.securityFlags, engine: c.ZMQEngine, notes: notes, stop: func() {},
		gate: access.NewGate(log, func(front, cause, _ string) { metrics.AuthFailed(front, cause) }),
	}
	watcher := access.NewWatcher(s.files()...)
	loaded, err := s.load(c)
	if err != nil {
		return nil, err
	}
	s.curve = loaded.curve
	if loaded.rules != nil {
		s.policy = s.gate.Policy(loaded.rules)
		s.policy.OnFetch(func(f access.Fetch) { metrics.KeysFetched(f.Issuer, f.Err == nil) })
	}
	if loaded.tls != nil {
		s.tls = server.NewTLS(loaded.tls)
	}
	if len(s.files()) > 0 {
		ctx, stop := context.WithCancel(context.Background())
		s.stop = stop
		s.watcher.Go(func() { watcher.Run(ctx, watchInterval, func() error { return s.changed(c) }) })
	}
	return s, nil
}

// close stops watching.
func (s *security) close() {
	s.stop()
	s.watcher.Wait()
	if s.policy != nil {
		s.policy.Close()
	}
}

// files are those that are put to use anew when they change.
func (s *security) files() []string {
	var names []string
	if s.flags.Identities != "" {
		names = append(names, s.flags.Identities)
	}
	if s.flags.TLSCert != "" {
		names = append(names, s.tlsFiles().Names()...)
	}
	if s.flags.ZMQCurveKey != "" {
		names = append(names, s.flags.ZMQCurveKey)
	}
	return names
}

func (s *security) tlsFiles() server.TLSFiles {
	files := server.TLSFiles{
		Certificate: s.flags.TLSCert, Key: s.flags.TLSKey, ClientCA: s.flags.TLSClientCA,
		ClientOptional: s.flags.TLSClientAuth == "optional", MinVersion: tls.VersionTLS13,
	}
	if s.flags.TLSMinVersion == "1.2" {
		files.MinVersion = tls.VersionTLS12
	}
	return files
}

// loaded is what the files say.
type loaded struct {
	rules *access.Rules
	tls   *tls.Config
	curve string
}

// load reads and checks all files. The error names option and file.
func (s *security) load(c *serveCommand) (l loaded, err error) {
	if s.flags.Identities != "" {
		if l.rules, err = access.Load(s.flags.Identities); err != nil {
			return l, fmt.Errorf("identities: %w", err)
		}
		if address := c.GRPC; l.rules.TokensInUse() && s.flags.TLSCert == "" && address != "none" && !isLocal(address) {
			return l, fmt.Errorf("identities: %s has tokens, which would cross the network in clear text to %s; "+
				"--tls-cert and --tls-key encrypt them", s.flags.Identities, address)
		}
	}
	if s.flags.TLSCert != "" {
		if l.tls, err = s.tlsFiles().Load(); err != nil {
			return l, fmt.Errorf("tls-cert: %w", err)
		}
	}
	if s.flags.ZMQCurveKey != "" {
		if l.curve, err = readSecret(s.flags.ZMQCurveKey); err != nil {
			return l, fmt.Errorf("zmq-curve-key: %w", err)
		}
		if _, err = access.ParseCurveKey(l.curve); err != nil {
			return l, fmt.Errorf("zmq-curve-key: %s: %w", s.flags.ZMQCurveKey, err)
		}
	}
	return l, nil
}

// readSecret reads a file of one line.
func readSecret(path string) (string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	secret := strings.TrimSpace(string(text))
	if secret == "" {
		return "", errors.New(path + " is empty")
	}
	return secret, nil
}

// prepare reads the files anew. What it answers puts them to use, and can't
// fail.
func (s *security) prepare(c *serveCommand) (apply func() []string, err error) {
	now, err := s.load(c)
	if err != nil {
		return nil, err
	}
	if err := s.checkCurve(now.curve); err != nil {
		return nil, err
	}
	return func() (changes []string) {
		s.reloading.Lock()
		defer s.reloading.Unlock()
		if now.rules != nil && s.policy != nil {
			s.policy.Replace(now.rules)
			changes = append(changes, fmt.Sprintf("identities: %d in %s", now.rules.Identities(), s.flags.Identities))
		}
		if now.tls != nil && s.tls != nil {
			s.tls.Replace(now.tls)
			changes = append(changes, "certificates: "+strings.Join(s.tlsFiles().Names(), ", "))
		}
		return append(changes, s.replaceCurve(now.curve)...)
	}, nil
}

// changed puts files to use that have changed. What is wrong with them leaves
// everything as it was: then the error has it called again.
func (s *security) changed(c *serveCommand) error {
	apply, err := s.prepare(c)
	if err != nil {
		s.notes.failed(theKeys, err)
		return err
	}
	s.notes.succeeded(theKeys, "changes", apply())
	return nil
}

// words are how each transport is secured, as operators see it.
func (s *security) words() map[string]string {
	words := map[string]string{}
	if s.flags.ZMQCurveKey != "" {
		words["zmq-server"], words["zmq-router"] = "curve", "curve"
	}
	switch {
	case s.tls != nil && s.flags.TLSClientCA != "" && s.flags.TLSClientAuth == "required":
		words["grpc"] = "mtls"
	case s.tls != nil:
		words["grpc"] = "tls"
	}
	return words
}
