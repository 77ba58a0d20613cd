package conformance_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/match"
)

// TestScripts plays every scenario in scripts/ with every pair of transports
// that it is for. The rules are named in the scenarios.
func TestScripts(t *testing.T) {
	all, err := loadScenarios("scripts")
	if err != nil {
		t.Fatal(err)
	}
	stages := &stages{t: t, free: map[string][]*inProcess{}}
	for _, s := range all {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			s.playAll(t, stages)
		})
	}
}

// stages are gateways that no scenario plays on at present, by their options.
type stages struct {
	t  *testing.T // that of all scenarios, whose end stops the gateways
	mu sync.Mutex
	// free is guarded by mu.
	free map[string][]*inProcess
}

// take answers a gateway that is the caller's alone until it is given back.
func (g *stages) take(s *scenario) (*inProcess, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	key := strings.Join(s.options, " ")
	if free := g.free[key]; len(free) > 0 {
		g.free[key] = free[1:]
		return free[0], nil
	}
	var wrong error
	taken := startGateway(g.t, func(limits *settings) { wrong = s.configure(limits) })
	return taken, errors.Join(wrong, addFaultyRoutes(taken.broker))
}

func (g *stages) giveBack(s *scenario, taken *inProcess) {
	g.mu.Lock()
	defer g.mu.Unlock()
	key := strings.Join(s.options, " ")
	g.free[key] = append(g.free[key], taken)
}

// playAll plays a scenario with all its pairs, one after the other. A gateway
// is not used again after a failure, which may have left flows behind.
func (s *scenario) playAll(t *testing.T, on *stages) {
	if s.engine != "" && s.engine != engine() {
		return // the other engine has a scenario of its own
	}
	handlers := s.handlers
	if handlers == nil {
		handlers = []transport{viaNothing}
	}
	for _, client := range s.clients {
		for _, handler := range handlers {
			name := string(client)
			if s.handlers != nil {
				name += "_to_" + string(handler)
			}
			t.Run(name, func(t *testing.T) {
				g, err := on.take(s)
				if err == nil {
					err = s.play(g, client, handler)
				}
				if err != nil {
					t.Fatalf("%s:%d: %v", s.file, s.line, err)
				}
				on.giveBack(s, g)
			})
		}
	}
}

// configure sets the gateway's options, under the names they have on the
// command line. `builtin` has dump and generate take everything instead of offers;
// with `nobody` there is no handler but these, for who asks for them by name.
func (s *scenario) configure(limits *settings) error {
	for _, option := range s.options {
		if option == "builtin" || option == "nobody" {
			limits.defaultRoutes = option == "builtin"
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
		if _, err := b.AddRoute(broker.Route{Name: name, Match: named, Factory: find}); err != nil {
			return err
		}
	}
	return nil
}

// scriptFactory is a broker.Factory that finds no handler.
type scriptFactory func(context.Context) error

// Find implements broker.Factory.
func (f scriptFactory) Find(ctx context.Context, _ *broker.Request) error { return f(ctx) }
