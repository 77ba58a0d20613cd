package broker_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/zioflow/gateway/broker/listeners"
	"github.com/zioflow/gateway/broker/match"
	"github.com/zioflow/gateway/broker/matching"
	"github.com/zioflow/gateway/broker/routing"
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/broker/zio"
)

// playRoutes plays what concerns routes, of which each is written as `NAME
// FACTORY [priority=N] [max-credit=N] [match=EXPRESSION]` with the factory
// `fails`, `panics`, `hangs` or `listener=NAME`:
//
//	route ROUTE              AddRoute
//	default ROUTE            AddDefaultRoute
//	named ROUTE              AddNamedRoute
//	configure ROUTE | ROUTE  SetRoutes
//	unroute NAME             RemoveRoute
//	routes                   Routes
//	explain LABEL            Explain, for a peer named "asking"
func (s *play) playRoutes(command string, words []string) {
	var err error
	switch command {
	case "route":
		_, err = s.broker.AddRoute(s.route(words))
	case "default":
		err = s.broker.AddDefaultRoute(s.route(words))
	case "named":
		err = s.broker.AddNamedRoute(s.route(words))
	case "configure":
		var routes []routing.Route
		for text := range strings.SplitSeq(strings.Join(words, " "), " | ") {
			if words := strings.Fields(text); len(words) > 0 {
				routes = append(routes, s.route(words))
			}
		}
		err = s.broker.SetRoutes(routes)
	case "unroute":
		_, err = s.broker.RemoveRoute(words[0])
	case "routes":
		for _, r := range s.broker.Routes() {
			line := fmt.Sprintf("%s %v priority=%d max-credit=%d taken=%d flows=%d", r.Name, r.Origin, r.Priority, r.MaxCredit, r.Taken, r.Flows)
			if r.Match != nil {
				line += fmt.Sprintf(" match=%v", r.Match)
			}
			s.answer(line)
		}
	case "explain":
		s.explain(words[0])
	}
	if err != nil {
		s.answer(err)
	}
}

func (s *play) explain(label string) {
	view, err := matching.NewView(&zio.Message{Label: []byte(label)}, transport.PeerInfo{Identity: "asking"})
	if err != nil {
		s.answer(err)
		return
	}
	verdicts, err := s.broker.Explain(s.t.Context(), view)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, v := range verdicts {
		mark := map[bool]string{true: "yes", false: "no"}[v.Matches]
		if v.Takes {
			mark = "TAKES"
		}
		s.answer(fmt.Sprintf("%s %s (%v): %s", mark, v.Route, v.Origin, v.Explanation))
	}
}

func (s *play) route(words []string) routing.Route {
	r := routing.Route{Name: words[0]}
	switch words[1] {
	case "panics":
		r.Factory = factoryFunc(func(context.Context, *routing.Request) error { panic("a bug") })
	case "fails":
		r.Factory = factoryFunc(func(context.Context, *routing.Request) error { return errors.New("no input file") })
	case "hangs":
		r.Factory = factoryFunc(func(ctx context.Context, _ *routing.Request) error { <-ctx.Done(); return nil })
	}
	for _, word := range words[1:] {
		key, value, _ := strings.Cut(word, "=")
		var err error
		switch key {
		case "listener":
			r.Factory = listeners.ToListeners{Name: value}
		case "priority":
			var n int
			n, err = strconv.Atoi(value)
			r.Priority = int32(n)
		case "max-credit":
			r.MaxCredit, err = strconv.ParseInt(value, 10, 64)
		case "match":
			r.Match, err = match.Compile(value)
		}
		if err != nil {
			s.t.Fatal(fmt.Errorf("%s: %w", word, err))
		}
	}
	return r
}

type factoryFunc func(context.Context, *routing.Request) error

func (f factoryFunc) Find(ctx context.Context, r *routing.Request) error { return f(ctx, r) }
