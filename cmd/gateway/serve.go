package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/zioflow/gateway/broker"
)

// serveCommand runs the gateway. The zero value of an address list is its
// default; the word "none" stands for no address.
type serveCommand struct {
	ZMQServer []string `name:"zmq-server" default:"tcp://127.0.0.1:5555" help:"Address for CLIENT sockets; may repeat. \"none\" for none." placeholder:"ADDRESS"`
	ZMQRouter []string `name:"zmq-router" default:"tcp://127.0.0.1:5556" help:"Address for DEALER sockets; may repeat. \"none\" for none." placeholder:"ADDRESS"`
	GRPC      string   `name:"grpc" default:"127.0.0.1:7575" help:"Address for gRPC, or \"none\"." placeholder:"HOST:PORT"`
	HTTP      string   `name:"http" default:"127.0.0.1:7576" help:"Address for health checks over HTTP, or \"none\"." placeholder:"HOST:PORT"`
	ReadyFile string   `help:"When ready, write the bound addresses to this file, as JSON." placeholder:"FILE"`
	Insecure  bool     `help:"Allow addresses beyond loopback although nothing is encrypted nor authenticated."`

	DefaultRoutes bool `default:"true" negatable:"" help:"Have the built-in handlers dump and generate serve what nothing else takes."`

	MaxCredit      int64         `default:"${max_credit}" help:"Largest credit of a flow; larger offers are lowered."`
	MaxMessage     int           `default:"${max_message}" help:"Largest payload of a message, in bytes."`
	MaxFlows       int           `default:"${max_flows}" help:"How many flows there may be at once."`
	MaxPending     int           `default:"${max_pending}" help:"How many of them may wait for a handler."`
	PendingTimeout time.Duration `default:"${pending_timeout}" help:"How long a flow waits for a handler."`
	EOTTimeout     time.Duration `name:"eot-timeout" default:"${eot_timeout}" help:"How long a flow waits for the answer to an EOT."`
	IdleTimeout    time.Duration `default:"0s" help:"How long a flow may go without a message; 0 for ever."`

	LogLevel  slog.Level `default:"info" help:"debug, info, warn or error."`
	LogFormat string     `default:"text" enum:"text,json" help:"text or json."`
}

// stopTimeout bounds an orderly stop.
const stopTimeout = 4 * time.Second

// defaults are the broker's own, for the help text and the flags.
func defaults() kong.Vars {
	o := broker.DefaultOptions()
	return kong.Vars{
		"max_credit":      fmt.Sprint(o.MaxCredit),
		"max_message":     fmt.Sprint(o.MaxMessage),
		"max_flows":       fmt.Sprint(o.MaxFlows),
		"max_pending":     fmt.Sprint(o.MaxPending),
		"pending_timeout": fmt.Sprint(o.PendingTimeout),
		"eot_timeout":     fmt.Sprint(o.EOTTimeout),
	}
}

// Validate is called by kong; it names the option that makes no sense.
func (c *serveCommand) Validate() error {
	if err := c.limits(nil).Validate(); err != nil {
		return err
	}
	if c.Insecure {
		return nil
	}
	for option, addresses := range map[string][]string{
		"--zmq-server": c.ZMQServer, "--zmq-router": c.ZMQRouter, "--grpc": {c.GRPC}, "--http": {c.HTTP},
	} {
		for _, address := range chosen(addresses) {
			if !isLocal(address) {
				return fmt.Errorf("%s: %s is reachable from other machines, without encryption or authentication; "+
					"--insecure allows it", option, address)
			}
		}
	}
	return nil
}

// isLocal tells whether only this machine can reach an address. What is no
// address is left to the bind to refuse.
func isLocal(address string) bool {
	scheme, rest, found := strings.Cut(address, "://")
	if found && scheme != "tcp" {
		return scheme == "ipc"
	}
	if found {
		address = rest
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return true
	}
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// chosen is a list of addresses without the word "none".
func chosen(addresses []string) []string {
	var real []string
	for _, a := range addresses {
		if a != "none" && a != "" {
			real = append(real, a)
		}
	}
	return real
}

func (c *serveCommand) limits(log *slog.Logger) broker.Options {
	o := broker.DefaultOptions()
	o.MaxCredit, o.MaxMessage = c.MaxCredit, c.MaxMessage
	o.MaxFlows, o.MaxPending = c.MaxFlows, c.MaxPending
	o.PendingTimeout, o.EOTTimeout, o.IdleTimeout = c.PendingTimeout, c.EOTTimeout, c.IdleTimeout
	o.Log = log
	return o
}

func (c *serveCommand) logger() *slog.Logger {
	options := &slog.HandlerOptions{Level: c.LogLevel}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(os.Stderr, options))
	}
	return slog.New(slog.NewTextHandler(os.Stderr, options))
}

// Run serves until SIGINT or SIGTERM; the second one ends the process at once.
func (c *serveCommand) Run() error {
	signals, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	log := c.logger()
	g, err := start(c, log)
	if err != nil {
		return err
	}
	fmt.Println(g.ready())
	if c.ReadyFile != "" {
		if err := g.writeReady(c.ReadyFile); err != nil {
			return errors.Join(err, g.stop(context.Background()))
		}
	}
	var failed error
	select {
	case <-signals.Done():
		log.Info("stopping; a second signal stops at once")
	case failed = <-g.failed:
	}
	stop() // the next signal has its default effect
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	return errors.Join(failed, g.stop(ctx))
}
