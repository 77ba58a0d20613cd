package main_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/match"
	"github.com/zioflow/gateway/broker/routing"
	"github.com/zioflow/gateway/conformance/play"
	"github.com/zioflow/gateway/internal/native"
	"github.com/zioflow/gateway/zmtp"
)

// TestScripts plays every scenario in scripts/ with every pair of transports that it is
// for, as the command does with any broker. The native peers are libzmq's. The rules are
// named in the scenarios.
func TestScripts(t *testing.T) {
	all, err := play.Load(os.DirFS("."), "scripts")
	if err != nil {
		t.Fatal(err)
	}
	stages := &stages{t: t, free: map[string][]*play.Target{}}
	for _, s := range all {
		t.Run(s.Title, func(t *testing.T) {
			t.Parallel()
			stages.playAll(t, s)
		})
	}
}

// stages are gateways that no scenario plays on at present, by their options.
type stages struct {
	t  *testing.T // that of all scenarios, whose end stops the gateways
	mu sync.Mutex
	// free is guarded by mu.
	free map[string][]*play.Target
}

// optionsOf are all options of a scenario, in one text.
func optionsOf(s *play.Scenario) string {
	return strings.Join(append(slices.Clone(s.Options), s.Faster...), " ")
}

// take returns a gateway that is the caller's alone until it is given back.
func (g *stages) take(s *play.Scenario) (*play.Target, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	key := optionsOf(s)
	if free := g.free[key]; len(free) > 0 {
		g.free[key] = free[1:]
		return free[0], nil
	}
	var wrong error
	taken := startGateway(g.t, func(limits *settings) { wrong = configure(limits, strings.Fields(key)) })
	return &play.Target{
		Server: taken.addresses[viaClient], Router: taken.addresses[viaDealer], GRPC: taken.addresses[viaGRPC],
		Options: s.Options, Engine: engine(), Patience: 10 * time.Second, DialNative: dialLibzmq,
	}, errors.Join(wrong, addFaultyRoutes(taken.broker))
}

func (g *stages) giveBack(s *play.Scenario, taken *play.Target) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.free[optionsOf(s)] = append(g.free[optionsOf(s)], taken)
}

// playAll plays a scenario with all its pairs, one after the other. A gateway
// is not used again after a failure, which may have left flows behind.
func (g *stages) playAll(t *testing.T, s *play.Scenario) {
	if s.Engine != "" && s.Engine != engine() {
		return // the other engine has a scenario of its own
	}
	for _, pair := range s.Pairs() {
		t.Run(strings.ReplaceAll(pair.String(), " ", "_"), func(t *testing.T) {
			target, err := g.take(s)
			if err != nil {
				t.Fatal(err)
			}
			if lacks := target.Lacks(s, pair); lacks != "" {
				t.Fatalf("the gateway of the tests lacks something: %s", lacks)
			}
			if err := target.Play(s, pair); err != nil {
				t.Fatal(err)
			}
			g.giveBack(s, target)
		})
	}
}

// dialLibzmq connects a socket of libzmq's, which is what native programs have.
func dialLibzmq(kind zmtp.SocketType, address string) (play.Native, error) {
	of := map[zmtp.SocketType]native.Kind{zmtp.Client: native.Client, zmtp.Dealer: native.Dealer}
	p, err := native.Dial(of[kind], address, "")
	return libzmqPeer{p}, err
}

type libzmqPeer struct{ *native.Peer }

// Close implements play.Native.
func (p libzmqPeer) Close() error { return p.Peer.Close(0) }

// configure sets the gateway's options, under the names they have on the
// command line.
func configure(limits *settings, options []string) error {
	for _, option := range options {
		if option == "default-routes" {
			limits.defaultRoutes = true
			continue
		}
		key, value, _ := strings.Cut(option, "=")
		var err error
		if to := durationOption(&limits.Options, key); to != nil {
			*to, err = time.ParseDuration(value)
		} else {
			err = setNumber(&limits.Options, key, value)
		}
		if err != nil {
			return fmt.Errorf("option %s: %w", option, err)
		}
	}
	return nil
}

func durationOption(o *broker.Options, key string) *time.Duration {
	return map[string]*time.Duration{
		"pending-timeout": &o.PendingTimeout,
		"eot-timeout":     &o.EOTTimeout,
		"idle-timeout":    &o.IdleTimeout,
		"handler-wait":    &o.HandlerWait,
	}[key]
}

func setNumber(o *broker.Options, key, value string) error {
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return err
	}
	switch key {
	case "max-credit":
		o.MaxCredit = n
	case "max-message":
		o.MaxMessage = int(n)
	case "max-flows":
		o.MaxFlows = int(n)
	case "max-pending":
		o.MaxPending = int(n)
	default:
		return errors.New("is not known")
	}
	return nil
}

// addFaultyRoutes adds factories for BOTs with the attribute "factory": one
// that fails, one that panics and one that hangs until the flow has ended.
func addFaultyRoutes(b *broker.Broker) error {
	for name, find := range map[string]scriptFactory{
		"fails":  func(context.Context) error { return errors.New("no input file") },
		"panics": func(context.Context) error { panic("a bug") },
		"hangs":  func(ctx context.Context) error { <-ctx.Done(); return nil },
	} {
		named, err := match.Compile(fmt.Sprintf("attributes.factory == %q", name))
		if err != nil {
			return err
		}
		if _, err := b.AddRoute(routing.Route{Name: name, Match: named, Factory: find}); err != nil {
			return err
		}
	}
	return nil
}

// scriptFactory is a routing.Factory that finds no handler.
type scriptFactory func(context.Context) error

// Find implements routing.Factory.
func (f scriptFactory) Find(ctx context.Context, _ *routing.Request) error { return f(ctx) }
