// Package guard decides who is let in to a gateway: by files, which are put to use anew
// when they change.
package guard

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"strings"
	"sync"

	"github.com/zioflow/gateway/access"
	"github.com/zioflow/gateway/access/jwks"
	"github.com/zioflow/gateway/cluster"
	"github.com/zioflow/gateway/gateway/config"
	"github.com/zioflow/gateway/gateway/reload"
	"github.com/zioflow/gateway/internal/secretfile"
	"github.com/zioflow/gateway/server"
	"github.com/zioflow/gateway/telemetry"
)

// watchInterval is how often the files are looked at, and tried again.
const watchInterval = reload.Retry

// Guard is what decides who is let in. Its methods may be called concurrently
// but for Close, which is called once.
type Guard struct {
	// Policy is nil where everybody is let in, TLS for clear text. Denials are logged and
	// counted. None of them is another one later.
	Policy  *access.Policy
	TLS     *server.TLS
	Curve   *Curve
	Cluster *cluster.KeyRing
	Denials *access.DenialLog
	// Expiry tells of certificates that expire.
	Expiry *Expiry

	config      config.Security
	clusterKeys string // the folder
	notes       *reload.Notes

	applying sync.Mutex // one at a time
	watcher  sync.WaitGroup
	stop     context.CancelFunc
}

// Open reads the files, and watches them. The metrics are told of every denial
// and of every attempt to fetch an issuer's keys, the notes of what comes of a change.
func Open(c *config.Config, log *slog.Logger, metrics *telemetry.Metrics, notes *reload.Notes) (*Guard, error) {
	g := &Guard{
		config: c.Security, clusterKeys: c.Cluster.Keys, notes: notes, stop: func() {}, Expiry: newExpiry(log),
		Denials: access.NewDenialLog(log, func(front, cause, _ string) { metrics.AuthFailed(front, cause) }),
	}
	watcher := access.NewWatcher(g.files()...)
	loaded, err := g.load(c)
	if err != nil {
		return nil, err
	}
	g.Curve = &Curve{log: log, file: c.Security.CurveKey, engine: c.ZMQ.Engine, secret: loaded.curve}
	if loaded.rules != nil {
		g.Policy = g.Denials.Policy(loaded.rules)
		g.Policy.OnFetch(func(f jwks.Fetch) { metrics.KeysFetched(f.Issuer, f.Err == nil) })
	}
	if loaded.tls != nil {
		g.TLS = server.NewTLS(loaded.tls)
	}
	if loaded.cluster != nil {
		g.Cluster = cluster.NewKeyRing(loaded.cluster)
	}
	g.Expiry.use(loaded.certificates)
	metrics.WatchCertificates(g.Expiry.list)
	if len(g.files()) > 0 {
		ctx, stop := context.WithCancel(context.Background())
		g.stop = stop
		g.watcher.Go(func() { watcher.Run(ctx, watchInterval, func() error { return g.changed(c) }) })
		g.watcher.Go(func() { g.Expiry.run(ctx) })
	}
	return g, nil
}

// Check says what is wrong with the files. It puts nothing to use.
func Check(c *config.Config) error {
	_, err := (&Guard{config: c.Security, clusterKeys: c.Cluster.Keys}).load(c)
	return err
}

// Close stops watching.
func (g *Guard) Close() {
	g.stop()
	g.watcher.Wait()
	if g.Policy != nil {
		g.Policy.Close()
	}
}

// files are those that are put to use anew when they change.
func (g *Guard) files() []string {
	var names []string
	if g.config.Identities != "" {
		names = append(names, g.config.Identities)
	}
	if g.config.TLSCert != "" {
		names = append(names, g.tlsFiles().Names()...)
	}
	if g.config.CurveKey != "" {
		names = append(names, g.config.CurveKey)
	}
	if g.clusterKeys != "" {
		names = append(names, cluster.KeyFiles(g.clusterKeys)...)
	}
	return names
}

func (g *Guard) tlsFiles() server.TLSFiles {
	files := server.TLSFiles{
		Certificate: g.config.TLSCert, Key: g.config.TLSKey, ClientCA: g.config.TLSClientCA,
		ClientOptional: g.config.TLSClientOptional, MinVersion: tls.VersionTLS13,
	}
	if g.config.TLSMinVersion == "1.2" {
		files.MinVersion = tls.VersionTLS12
	}
	return files
}

// loaded is what the files say.
type loaded struct {
	rules        *access.Rules
	tls          *tls.Config
	cluster      *cluster.Keys
	certificates []validity // of both
	curve        string
}

// load reads and checks all files. The error names option and file.
func (g *Guard) load(c *config.Config) (l loaded, err error) {
	if g.config.Identities != "" {
		if l.rules, err = access.Load(g.config.Identities); err != nil {
			return l, fmt.Errorf("identities: %w", err)
		}
		if address := exposed(c); l.rules.TokensInUse() && g.config.TLSCert == "" && address != "" {
			return l, fmt.Errorf("identities: %s has tokens, which would cross the network in clear text to %s; "+
				"--tls-cert and --tls-key encrypt them", g.config.Identities, address)
		}
	}
	if g.config.TLSCert != "" {
		if l.tls, err = g.tlsFiles().Load(); err != nil {
			return l, fmt.Errorf("tls-cert: %w", err)
		}
		if l.certificates, err = validities(&g.config, l.tls.Certificates[0].Leaf); err != nil {
			return l, fmt.Errorf("tls-client-ca: %w", err)
		}
	}
	if g.clusterKeys != "" {
		if l.cluster, err = cluster.LoadKeys(g.clusterKeys); err != nil {
			return l, fmt.Errorf("--cluster-keys: %w", err)
		}
		l.certificates = append(l.certificates, ofCluster(g.clusterKeys, l.cluster)...)
	}
	if g.config.CurveKey != "" {
		if l.curve, err = secretfile.Read(g.config.CurveKey); err != nil {
			return l, fmt.Errorf("zmq-curve-key: %w", err)
		}
		if _, err = access.ParseCurveKey(l.curve); err != nil {
			return l, fmt.Errorf("zmq-curve-key: %s: %w", g.config.CurveKey, err)
		}
	}
	return l, nil
}

// exposed is an address for gRPC that other machines can reach; empty if there is none.
func exposed(c *config.Config) string {
	t := config.TransportOf(config.GRPCTransport)
	for _, address := range t.Configured(c) {
		if !t.Local(address) {
			return address
		}
	}
	return ""
}

// Prepare reads the files anew. What it returns puts them to use, and can't
// fail.
func (g *Guard) Prepare(c *config.Config) (apply func() []string, err error) {
	now, err := g.load(c)
	if err != nil {
		return nil, err
	}
	if err := g.Curve.check(now.curve); err != nil {
		return nil, err
	}
	return func() (changes []string) {
		g.applying.Lock()
		defer g.applying.Unlock()
		if now.rules != nil && g.Policy != nil {
			g.Policy.Replace(now.rules)
			changes = append(changes, fmt.Sprintf("identities: %d in %s", now.rules.Identities(), g.config.Identities))
		}
		if now.tls != nil && g.TLS != nil {
			g.TLS.Replace(now.tls)
			changes = append(changes, "certificates: "+strings.Join(g.tlsFiles().Names(), ", "))
		}
		if now.cluster != nil && g.Cluster != nil {
			g.Cluster.Replace(now.cluster)
			changes = append(changes, "certificates of the cluster: "+strings.Join(cluster.KeyFiles(g.clusterKeys), ", "))
		}
		if len(now.certificates) > 0 {
			g.Expiry.use(now.certificates)
		}
		return append(changes, g.Curve.replace(now.curve)...)
	}, nil
}

// changed puts files to use that have changed. What is wrong with them leaves
// everything as it was: then the error has it called again.
func (g *Guard) changed(c *config.Config) error {
	apply, err := g.Prepare(c)
	if err != nil {
		g.notes.Failed(reload.Keys, err)
		return err
	}
	g.notes.Succeeded(reload.Keys, "changes", apply())
	return nil
}
