package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// relay is what stands between giver and taker.
type relay struct {
	*server
	kind      string // in the load generators' words
	addresses map[transport]string
	giversAt  map[transport]string // where givers connect, if that is elsewhere; nil if not
	desk      *desk                // nil for a baseline
}

// setUp is a gateway and the baselines, started afresh: those that some paths
// need.
type setUp struct {
	programs  *programs
	dir       string // for files, while it lasts
	keys      *keys  // nil if there is no CURVE
	gateway   *relay // nil if all paths are secured
	secured   *relay // the gateway that asks for CURVE; nil if no path is
	baselines map[transport]*relay
}

func start(p *programs, paths []path) (_ *setUp, err error) {
	s := &setUp{programs: p, baselines: map[transport]*relay{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.stop())
		}
	}()
	if s.dir, err = os.MkdirTemp("", "bench"); err != nil {
		return nil, err
	}
	if slices.ContainsFunc(paths, path.secured) {
		if s.keys, err = makeKeys(p.gateway, filepath.Join(s.dir, "keys")); err != nil {
			return nil, err
		}
		if s.secured, err = s.startGateway("secured", s.keys.token, s.keys.flags()...); err != nil {
			return nil, err
		}
	}
	if slices.ContainsFunc(paths, func(p path) bool { return !p.secured() }) {
		if s.gateway, err = s.startGateway("plain", ""); err != nil {
			return nil, err
		}
	}
	for _, c := range contenders(paths) {
		if c.gateway || s.baselines[c.path.giver.baseline()] != nil {
			continue
		}
		if err = s.startBaseline(c.path.giver.baseline()); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *setUp) startBaseline(via transport) error {
	arguments := []string{"tcp://127.0.0.1:0"}
	switch via {
	case viaGRPC:
		arguments = nil
	case curve:
		arguments = append(arguments, s.keys.serverSecret)
	}
	process, address, err := startServer(s.programs.relays[via], arguments...)
	if err != nil {
		return err
	}
	r := &relay{server: process, kind: "relay", addresses: map[transport]string{}}
	for _, t := range transports {
		if t.baseline() == via {
			r.addresses[t] = address
		}
	}
	s.baselines[via] = r
	return nil
}

// of is the relay of a contender.
func (s *setUp) of(c contender) *relay {
	switch {
	case !c.gateway:
		return s.baselines[c.path.giver.baseline()]
	case c.path.secured():
		return s.secured
	default:
		return s.gateway
	}
}

// load is a load generator's program, with the arguments that only it has.
func (s *setUp) load(via transport) []string {
	words := []string{s.programs.loads[via]}
	switch via {
	case native:
		return append(words, "client")
	case dealer:
		return append(words, "dealer")
	case curve:
		return append(words, s.keys.socket())
	default:
		return words
	}
}

func (s *setUp) stop() error {
	var errs []error
	for _, g := range []*relay{s.gateway, s.secured} {
		if g != nil {
			g.desk.close()
			errs = append(errs, g.stop())
		}
	}
	for _, b := range s.baselines {
		errs = append(errs, b.stop())
	}
	return errors.Join(append(errs, os.RemoveAll(s.dir))...)
}

// gatewayFlags leave a gateway as users have it, but for its addresses and what
// keeps a slow machine from failing: how many flows may wait, and how long. What
// its listener here does not take is to wait, not to be served by a handler that
// the gateway has itself.
var gatewayFlags = []string{
	"serve", "--zmq-server=tcp://127.0.0.1:0", "--zmq-router=tcp://127.0.0.1:0", "--grpc=127.0.0.1:0", "--http=127.0.0.1:0",
	"--default-routes=false", "--node=none", "--max-pending=20000", "--pending-timeout=1m", "--log-level=error",
}

// startGateway starts one with further flags, and listens with a token.
func (s *setUp) startGateway(name string, token bearer, flags ...string) (_ *relay, err error) {
	r, err := s.startUnheard(name, flags...)
	if err != nil {
		return nil, err
	}
	if r.desk, err = openDesk(r.addresses[viaGRPC], token); err != nil {
		return nil, errors.Join(err, r.stop())
	}
	return r, nil
}

// startUnheard starts one at which nobody listens.
func (s *setUp) startUnheard(name string, flags ...string) (_ *relay, err error) {
	file := filepath.Join(s.dir, name+".json")
	all := slices.Concat(gatewayFlags, []string{"--ready-file=" + file}, flags, s.programs.gatewayFlags)
	process, _, err := startServer(s.programs.gateway, all...)
	if err != nil {
		return nil, err
	}
	r := &relay{server: process, kind: "gateway"}
	if err := r.attach(file); err != nil {
		return nil, errors.Join(err, process.stop())
	}
	return r, nil
}

// attach reads where a gateway is.
func (r *relay) attach(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var bound struct {
		ZMQServer  []string `json:"zmq_server"`
		ZMQRouter  []string `json:"zmq_router"`
		GRPC, HTTP string
	}
	if err := json.Unmarshal(text, &bound); err != nil {
		return err
	}
	if len(bound.ZMQServer) != 1 || len(bound.ZMQRouter) != 1 {
		return fmt.Errorf("the gateway is bound to %s", text)
	}
	r.http = bound.HTTP
	server := bound.ZMQServer[0]
	r.addresses = map[transport]string{
		native: server, raw: server, curve: server, dealer: bound.ZMQRouter[0], viaGRPC: bound.GRPC,
	}
	return nil
}
