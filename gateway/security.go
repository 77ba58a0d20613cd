package gateway

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"strings"
	"sync"

	"github.com/zioflow/gateway/access"
	"github.com/zioflow/gateway/server"
	"github.com/zioflow/gateway/telemetry"
)

// Security configures who is let in, and what is encrypted. The files are read when the
// gateway starts, and again when they change.
type Security struct {
	// Identities is a YAML file of those who are let in, and what for; empty for
	// everybody and everything.
	Identities string
	// TLSCert and TLSKey are the gRPC endpoint's certificate and key, in PEM; empty for
	// clear text. TLSClientCA has the authorities of its clients' certificates, which
	// TLSClientOptional lets them do without. TLSMinVersion is "1.2" or "1.3".
	TLSCert, TLSKey, TLSClientCA string
	TLSClientOptional            bool
	TLSMinVersion                string
	// CurveKey is a file with the secret key of the ZeroMQ endpoints, in Z85; empty for
	// NULL. PlainLocal exempts addresses that only this machine can reach.
	CurveKey   string
	PlainLocal bool
	// PublicReflection lets everybody ask for the contract by gRPC reflection.
	PublicReflection bool
	// PublicHTTP allows an HTTP address beyond loopback.
	PublicHTTP bool
	// Insecure allows fronts addresses beyond loopback as they are.
	Insecure Exposure
}

// watchInterval is how often the files are looked at, and tried again.
const watchInterval = retryReload

// validateSecurity names the option that makes no sense, or is not safe.
func (s *Security) validate() error {
	for _, need := range []struct {
		set, there  bool
		option, why string
	}{
		{s.TLSCert != "", s.TLSKey != "", "--tls-cert", "needs --tls-key"},
		{s.TLSKey != "", s.TLSCert != "", "--tls-key", "needs --tls-cert"},
		{s.TLSClientCA != "", s.TLSCert != "", "--tls-client-ca", "needs --tls-cert and --tls-key"},
		{s.TLSClientCA != "", s.Identities != "", "--tls-client-ca", "needs --identities, which says whose the certificates are"},
		{s.CurveKey != "", s.Identities != "", "--zmq-curve-key", "needs --identities, which says whose the keys are"},
		{s.PlainLocal, s.CurveKey != "", "--zmq-plain-local", "needs --zmq-curve-key: without it no address asks for CURVE"},
	} {
		if need.set && !need.there {
			return fmt.Errorf("%s: %s", need.option, need.why)
		}
	}
	return nil
}

// security is what decides who is let in. Its methods may be called concurrently
// but for close, which is called once.
type security struct {
	log     *slog.Logger
	config  Security
	engine  string            // that speaks ZeroMQ
	denials *access.DenialLog // for denials
	notes   *reloads
	policy  *access.Policy // nil lets everybody in
	tls     *server.TLS    // nil for clear text

	reloading sync.Mutex         // one at a time
	curve     string             // guarded by reloading; secret key; empty for no CURVE
	setCurve  func(string) error // guarded by reloading; puts another one to use; nil before there is an address
	watcher   sync.WaitGroup
	stop      context.CancelFunc
}

// openSecurity reads the files, and watches them. The metrics are told of every denial
// and of every attempt to fetch an issuer's keys, the notes of what comes of a change.
func (c *Config) openSecurity(log *slog.Logger, metrics *telemetry.Metrics, notes *reloads) (*security, error) {
	s := &security{
		log: log, config: c.Security, engine: c.ZMQ.Engine, notes: notes, stop: func() {},
		denials: access.NewDenialLog(log, func(front, cause, _ string) { metrics.AuthFailed(front, cause) }),
	}
	watcher := access.NewWatcher(s.files()...)
	loaded, err := s.load(c)
	if err != nil {
		return nil, err
	}
	s.curve = loaded.curve
	if loaded.rules != nil {
		s.policy = s.denials.Policy(loaded.rules)
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
	if s.config.Identities != "" {
		names = append(names, s.config.Identities)
	}
	if s.config.TLSCert != "" {
		names = append(names, s.tlsFiles().Names()...)
	}
	if s.config.CurveKey != "" {
		names = append(names, s.config.CurveKey)
	}
	return names
}

func (s *security) tlsFiles() server.TLSFiles {
	files := server.TLSFiles{
		Certificate: s.config.TLSCert, Key: s.config.TLSKey, ClientCA: s.config.TLSClientCA,
		ClientOptional: s.config.TLSClientOptional, MinVersion: tls.VersionTLS13,
	}
	if s.config.TLSMinVersion == "1.2" {
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
func (s *security) load(c *Config) (l loaded, err error) {
	if s.config.Identities != "" {
		if l.rules, err = access.Load(s.config.Identities); err != nil {
			return l, fmt.Errorf("identities: %w", err)
		}
		if address := c.GRPC.Address; l.rules.TokensInUse() && s.config.TLSCert == "" && len(Chosen(address)) > 0 && !isLocal(address) {
			return l, fmt.Errorf("identities: %s has tokens, which would cross the network in clear text to %s; "+
				"--tls-cert and --tls-key encrypt them", s.config.Identities, address)
		}
	}
	if s.config.TLSCert != "" {
		if l.tls, err = s.tlsFiles().Load(); err != nil {
			return l, fmt.Errorf("tls-cert: %w", err)
		}
	}
	if s.config.CurveKey != "" {
		if l.curve, err = access.ReadSecret(s.config.CurveKey); err != nil {
			return l, fmt.Errorf("zmq-curve-key: %w", err)
		}
		if _, err = access.ParseCurveKey(l.curve); err != nil {
			return l, fmt.Errorf("zmq-curve-key: %s: %w", s.config.CurveKey, err)
		}
	}
	return l, nil
}

// prepare reads the files anew. What it returns puts them to use, and can't
// fail.
func (s *security) prepare(c *Config) (apply func() []string, err error) {
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
			changes = append(changes, fmt.Sprintf("identities: %d in %s", now.rules.Identities(), s.config.Identities))
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
func (s *security) changed(c *Config) error {
	apply, err := s.prepare(c)
	if err != nil {
		s.notes.failed(theKeys, err)
		return err
	}
	s.notes.succeeded(theKeys, "changes", apply())
	return nil
}

// tlsWord is how gRPC is secured, as operators see it.
func (s *Security) tlsWord() string {
	switch {
	case s.TLSCert == "":
		return "none"
	case s.TLSClientCA != "" && !s.TLSClientOptional:
		return "mtls"
	}
	return "tls"
}
