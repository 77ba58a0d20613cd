package main

import (
	"fmt"
	"slices"
)

// transport is what a peer speaks, and by which means.
type transport string

const (
	native  transport = "native" // CLIENT sockets of libzmq
	dealer  transport = "dealer" // DEALER sockets of libzmq
	curve   transport = "curve"  // CLIENT sockets of libzmq, with CURVE
	raw     transport = "raw"    // CLIENTs on plain sockets, without libzmq
	viaGRPC transport = "grpc"
)

// transports are all of them, in the order of a round.
var transports = []transport{native, dealer, curve, raw, viaGRPC}

// baseline is whose baseline a transport has: to a relay, a CLIENT is a CLIENT.
func (t transport) baseline() transport {
	if t == raw {
		return native
	}
	return t
}

// path is what giver and taker speak.
type path struct{ giver, taker transport }

func (p path) String() string { return string(p.giver) + "-" + string(p.taker) }

// secured tells whether the path needs a gateway that asks for CURVE.
func (p path) secured() bool { return p.giver == curve }

func like(t transport) path { return path{t, t} }

var (
	// paths are those between libzmq's CLIENTs and gRPC.
	paths = []path{like(native), like(viaGRPC), {native, viaGRPC}, {viaGRPC, native}}
	// allPaths are all there are.
	allPaths = slices.Concat(paths, []path{like(dealer), like(curve), like(raw)})
)

// choose returns the paths of these names, those between CLIENTs and gRPC for
// none.
func choose(names []string) (chosen []path, err error) {
	for _, name := range names {
		i := slices.IndexFunc(allPaths, func(p path) bool { return p.String() == name })
		if i < 0 {
			return nil, fmt.Errorf("path %q: want one of %v", name, allPaths)
		}
		chosen = append(chosen, allPaths[i])
	}
	if len(chosen) == 0 {
		chosen = paths
	}
	return chosen, nil
}
