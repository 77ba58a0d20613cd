package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/spawn"
	"github.com/zioflow/gateway/gateway"
	"github.com/zioflow/gateway/gateway/config"
	"github.com/zioflow/gateway/internal/logs/async"
	"github.com/zioflow/gateway/internal/memory"
	"github.com/zioflow/gateway/internal/version"
	"github.com/zioflow/gateway/server"
)

// serveCommand runs the gateway. The zero value of an address list is its
// default; the word "none" stands for no address.
type serveCommand struct {
	ZMQServer []string   `name:"zmq-server" default:"tcp://127.0.0.1:5555" help:"Address for CLIENT sockets; may repeat. \"none\" for none." placeholder:"ADDRESS"`
	ZMQRouter []string   `name:"zmq-router" default:"tcp://127.0.0.1:5556" help:"Address for DEALER sockets; may repeat. \"none\" for none." placeholder:"ADDRESS"`
	ZMQEngine string     `name:"zmq-engine" default:"zmtp" enum:"zmtp,libzmq" help:"What speaks ZeroMQ: zmtp, the gateway itself, or libzmq, if the program was built with it (the build tag libzmq)."`
	GRPC      string     `name:"grpc" default:"127.0.0.1:7575" help:"Address for gRPC, or \"none\"." placeholder:"HOST:PORT"`
	HTTP      string     `name:"http" default:"127.0.0.1:7576" help:"Address for health checks and metrics over HTTP, or \"none\"." placeholder:"HOST:PORT"`
	ReadyFile string     `help:"When ready, write the bound addresses to this file, as JSON." placeholder:"FILE"`
	Insecure  openFronts `help:"Allow these fronts addresses beyond loopback as they are, encrypted and authenticated or not: grpc, zmq, http. Where nobody is asked who he is, AdminService is for callers on this machine alone, unless admin is named as well. Without names: grpc, zmq and http." placeholder:"FRONT,..."`

	nodeFlags     `embed:""`
	securityFlags `embed:""`

	DefaultRoutes bool `negatable:"" help:"Have the built-in handlers dump and generate serve what nothing else takes: for demonstrations, as data is counted and thrown away."`

	routeFlags `embed:""`

	MaxCredit      int64         `default:"${max_credit}" help:"Largest credit of a flow; larger offers are lowered." reload:""`
	MaxMessage     int           `default:"${max_message}" help:"Largest payload of a message, in bytes. A label and parts that take more than 4 KiB count as well." reload:""`
	MaxFlows       int           `default:"${max_flows}" help:"How many flows there may be at once." reload:""`
	MaxPending     int           `default:"${max_pending}" help:"How many of them may wait for a handler." reload:""`
	MaxBytes       int64         `default:"0" help:"Bytes that may wait in the gateway, besides a message of every flow; 0 for half of the memory that the machine has, or the container or service where that is less." reload:""`
	MaxFlowBytes   int64         `default:"0" help:"The same for one flow; 0 for all of --max-bytes." reload:""`
	PendingTimeout time.Duration `default:"${pending_timeout}" help:"How long a flow waits for a handler." reload:""`
	HandlerWait    time.Duration `default:"${handler_wait}" help:"How long of it a flow that no route takes waits for one that does, or for a listener; 0s for not at all. With --default-routes there is none." reload:""`
	EOTTimeout     time.Duration `name:"eot-timeout" default:"${eot_timeout}" help:"How long a flow waits for the answer to an EOT." reload:""`
	IdleTimeout    time.Duration `default:"0s" help:"How long a flow may go without a message; 0 for ever." reload:""`

	Heartbeat             time.Duration `default:"2s" help:"How often a silent ZeroMQ peer is asked whether it is there; 0 for never."`
	HeartbeatTimeout      time.Duration `default:"6s" help:"How long it may take to answer."`
	Keepalive             time.Duration `default:"20s" help:"How often a silent gRPC connection is asked whether its peer is there."`
	KeepaliveTimeout      time.Duration `default:"60s" help:"How long it may take to answer. A peer that is too busy to read cannot: less than --stall-timeout cuts it sooner than that."`
	MaxConnectionAge      time.Duration `default:"0s" help:"How old a gRPC connection may become, give or take a tenth, before its peer is asked to go on by another one, as load balancers need it: flows go on, listeners are asked to listen again. 0s for any age."`
	MaxConnectionAgeGrace time.Duration `default:"0s" help:"How long the calls of such a connection may go on before they are cut; 0s for ever."`
	StallTimeout          time.Duration `default:"60s" help:"How long a peer may take no byte while something waits for it. One that takes its time is not cut."`
	DrainGrace            time.Duration `default:"0s" help:"How long flows may go on after SIGTERM before they are ended."`

	LogLevel  slog.Level `default:"info" help:"debug, info, warn or error." reload:""`
	LogFormat string     `default:"text" enum:"text,json" help:"text or json."`

	telemetryFlags `embed:""`

	arguments []string          // of the whole command line
	options   map[string]option // as they were given, by name
	level     slog.LevelVar     `kong:"-"` // LogLevel, until an operator changes it
	log       *async.Queue      // through which everything is logged
}

// defaults are the broker's own, for the help text and the flags.
func defaults() kong.Vars {
	o := broker.DefaultOptions()
	return kong.Vars{
		"max_credit":      fmt.Sprint(o.MaxCredit),
		"max_message":     fmt.Sprint(o.MaxMessage),
		"max_flows":       fmt.Sprint(o.MaxFlows),
		"max_pending":     fmt.Sprint(o.MaxPending),
		"pending_timeout": fmt.Sprint(o.PendingTimeout),
		"handler_wait":    fmt.Sprint(o.HandlerWait),
		"eot_timeout":     fmt.Sprint(o.EOTTimeout),
		"max_processes":   fmt.Sprint(spawn.DefaultOptions().MaxProcesses),
	}
}

// Validate is called by kong; it names the option that makes no sense.
func (c *serveCommand) Validate() error {
	s := c.config()
	return s.Validate()
}

// config is what the options say.
func (c *serveCommand) config() config.Config {
	limits := broker.DefaultOptions()
	limits.MaxCredit, limits.MaxMessage = c.MaxCredit, c.MaxMessage
	limits.MaxFlows, limits.MaxPending = c.MaxFlows, c.MaxPending
	limits.MaxBytes, limits.MaxFlowBytes = c.MaxBytes, c.MaxFlowBytes
	limits.PendingTimeout, limits.EOTTimeout, limits.IdleTimeout = c.PendingTimeout, c.EOTTimeout, c.IdleTimeout
	limits.HandlerWait = c.HandlerWait
	return config.Config{
		ZMQ: config.ZMQ{
			Servers: c.ZMQServer, Routers: c.ZMQRouter, Engine: c.ZMQEngine,
			Heartbeat: c.Heartbeat, HeartbeatTimeout: c.HeartbeatTimeout,
		},
		GRPC: config.GRPC{
			Address: c.GRPC, Keepalive: c.Keepalive, KeepaliveTimeout: c.KeepaliveTimeout,
			MaxConnectionAge: c.MaxConnectionAge, MaxConnectionAgeGrace: c.MaxConnectionAgeGrace,
			RateLimits: server.RateLimits{Total: c.GRPCRateLimit, Peer: c.GRPCPeerRateLimit},
		},
		HTTP: config.HTTP{Address: c.HTTP},
		Node: config.Node{Name: c.Node, PortName: c.PortName, Port: c.NodePort, Public: c.PublicNode},
		Routing: config.Routing{
			Routes: c.Routes.specs, Default: c.DefaultRoutes, MaxProcesses: c.MaxProcesses, AllowExec: c.AllowExecRoutes,
		},
		Security: c.securityFlags.config(c.Insecure),
		Limits:   limits, StallTimeout: c.StallTimeout, DrainGrace: c.DrainGrace, OTLPEndpoint: c.OTLPEndpoint, OTLPProtocol: c.OTLPProtocol,
		Version: version.Full(), LogLevel: c.LogLevel, Level: &c.level, Reread: c.reread,
	}
}

// run brings the gateway up, tells where it is, and serves until the context ends.
func (c *serveCommand) run(ctx context.Context, log *slog.Logger, out io.Writer, hangUps <-chan os.Signal) error {
	s := c.config()
	s.Log, s.LogDropped = log, c.log.Dropped
	g, err := gateway.New(s)
	if err != nil {
		return err
	}
	if c.ReadyFile != "" {
		if err := writeReady(c.ReadyFile, g.Addresses()); err != nil {
			return errors.Join(err, g.Stop(context.Background()))
		}
	}
	_, _ = fmt.Fprintln(out, ready(g.Endpoints()))
	var aside sync.WaitGroup
	defer aside.Wait()
	ctx, end := context.WithCancel(ctx) // also for a front that has failed
	defer end()
	aside.Go(func() { memory.ReturnWhenQuiet(ctx) })
	aside.Go(func() {
		for {
			select {
			case <-hangUps:
				_, _ = g.Reload() // it logs what came of it
			case <-ctx.Done():
				return
			}
		}
	})
	return g.Run(ctx)
}

// Run serves until SIGINT or SIGTERM; the second one ends the process at once.
// SIGHUP has the configuration read anew; on Windows, which has none, Reload alone
// does, and what ends a console stands for SIGTERM.
func (c *serveCommand) Run() error {
	signals, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, end := context.WithCancel(context.Background())
	defer end()
	context.AfterFunc(signals, func() {
		stop() // the next signal has its default effect, before anybody is told of this one
		end()
	})
	hangUps := make(chan os.Signal, 1)
	signal.Notify(hangUps, syscall.SIGHUP)
	defer signal.Stop(hangUps)
	survivePipes()
	log := c.openLog()
	defer c.log.Close(flushLog)
	adoptLibraries(log)
	out := async.Open(os.Stdout, nil)
	defer out.Close(flushLog)
	return c.run(ctx, log, out, hangUps)
}
