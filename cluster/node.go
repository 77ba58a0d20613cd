package cluster

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/zioflow/gateway/cluster/members"
	"github.com/zioflow/gateway/cluster/wire"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/internal/logs"
	"github.com/zioflow/gateway/server"
)

// How soon after one look at what the node itself has the next may follow: at all of it, and at
// those listeners of which others have to know at once how many flows they have.
const (
	lookPause    = 20 * time.Millisecond
	crossedPause = 100 * time.Millisecond
)

// speaks is the version of the protocol, which a test of others changes.
var speaks uint32 = members.Protocol

// Node is this gateway as a node of a cluster. Its methods may be called concurrently.
type Node struct {
	home
	bus      *bus
	peers    *server.Peers
	listener net.Listener
	numbers  numbers
	events   chan members.Event // of what the loop has asked for
	stop     context.CancelFunc // which closes over
	running  sync.WaitGroup     // the loop, and what it has started
	served   sync.WaitGroup     // the server for other nodes

	mu       sync.Mutex
	machine  *members.Machine // guarded by mu
	draining bool             // guarded by mu
	closed   bool             // guarded by mu

	// Of the loop alone.
	own    map[uint64]members.Listener
	routes map[uint64]bool // own ones that were looked at
	others map[members.ID]*member
}

// Open has the gateway join its cluster. It returns when the addresses are bound, whether
// other nodes are there or not.
func Open(o Options) (*Node, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.members == (members.Options{}) {
		o.members = members.DefaultOptions()
	}
	n := &Node{
		home: home{
			options: o, log: o.Log, lines: logs.NewSampler(o.Log, logs.Options{}), self: members.ID(strings.ToLower(rand.Text())),
			lives: newLives(), matches: newMatches(o.Log), compiler: newCompiler(0),
		},
		events: make(chan members.Event, 64), own: map[uint64]members.Listener{}, routes: map[uint64]bool{}, others: map[members.ID]*member{},
	}
	if o.Keys != nil {
		n.secure = o.Keys.config()
	}
	if err := n.start(); err != nil {
		n.Close(context.Background())
		return nil, err
	}
	return n, nil
}

// start brings up what there is.
func (n *Node) start() (err error) {
	if n.listener, err = net.Listen("tcp", n.options.Peer); err != nil {
		return fmt.Errorf("--cluster-peer: %w", err)
	}
	n.machine = members.New(members.Beat{
		Protocol: speaks, ID: n.self, Name: n.options.Node, Version: n.options.Version, Started: time.Now(), Address: n.PeerAddress(),
	}, n.options.members)
	if n.bus, err = openBus(&n.options, string(n.self), n.secure); err != nil {
		option := "--cluster-listen"
		if n.options.URL != "" {
			option = "--cluster-nats"
		}
		return fmt.Errorf("%s: %w", option, err)
	}
	n.peers = server.NewPeers(n.options.Broker, server.PeersOptions{
		Table: n.table, Alive: n.alive, TLS: n.secure, Stall: n.options.Stall,
		Process: n.options.Process, Nodes: n.options.Found, Routes: n.options.Routes, Log: n.log,
	})
	n.options.Broker.SetElsewhere(numberOf(n.self), n)
	n.served.Go(func() {
		if err := n.peers.Serve(&countedListener{n.listener, &n.counts}); err != nil {
			n.log.Error("other nodes are not served any more", "error", err)
		}
	})
	ctx, stop := context.WithCancel(context.Background())
	n.stop, n.over = stop, ctx.Done()
	n.running.Go(func() { n.run(ctx) })
	return nil
}

// PeerAddress is where other nodes reach this one by gRPC; RouteAddress where their NATS
// servers connect, empty with a NATS that there is.
func (n *Node) PeerAddress() string {
	host, _, _ := net.SplitHostPort(n.options.Peer)
	_, port, _ := net.SplitHostPort(n.listener.Addr().String())
	return net.JoinHostPort(host, port)
}

// RouteAddress is described at PeerAddress.
func (n *Node) RouteAddress() string { return n.bus.address() }

// Drain tells the others that this node refuses new flows, or takes them again.
func (n *Node) Drain(on bool) {
	n.mu.Lock()
	n.draining = on
	n.mu.Unlock()
	n.step(members.Load{Draining: on, Flows: uint64(n.options.Broker.Live())})
}

// Close leaves the cluster, once what is carried has ended, while ctx lasts. The broker must
// have been closed.
func (n *Node) Close(ctx context.Context) {
	n.mu.Lock()
	was := n.closed
	n.closed = true
	n.mu.Unlock()
	if was {
		return
	}
	if n.stop != nil {
		n.carried(ctx)
		n.peers.Stop(ctx) // which tells them how their flows have ended
		n.step(members.Leave{})
		n.bus.flush()
		n.stop()
		n.running.Wait()
	}
	if n.listener != nil {
		_ = n.listener.Close()
	}
	n.served.Wait()
	n.lives.endAll(errClosing)
	n.carrying.Wait()
	n.matches.compiler.close()
	n.compiler.close()
	if n.bus != nil {
		n.bus.close()
	}
}

// carried waits for what is carried to others, while ctx lasts.
func (n *Node) carried(ctx context.Context) {
	done := make(chan struct{})
	n.running.Go(func() {
		n.carrying.Wait()
		close(done)
	})
	select {
	case <-done:
	case <-ctx.Done():
		n.lives.endAll(errClosing)
	}
}

// run is the loop in which all is done that concerns other nodes.
func (n *Node) run(ctx context.Context) {
	ticker := time.NewTicker(n.options.members.Beat)
	defer ticker.Stop()
	defer n.dropAll()
	came, crossed := n.options.Broker.ListenerChanges()
	added := n.options.Broker.AddedRoutesChanges()
	n.look(n.lookListeners, n.lookRoutes)
	n.step(members.Tick{})
	noteCame, noteCrossed := came, crossed // nil for as long as is waited
	var pause, rest <-chan time.Time
	for {
		select {
		case <-ticker.C:
			n.tick()
		case m := <-n.bus.messages:
			if e := n.decode(m.Subject, m.Data); e != nil {
				n.step(e)
			}
		case e := <-n.events:
			n.step(e)
		case <-noteCame: // mostly others follow
			noteCame, pause = nil, time.After(lookPause)
		case <-pause:
			noteCame, pause = came, nil
			n.look(n.lookListeners)
		case <-noteCrossed: // which is told at once
			noteCrossed, rest = nil, time.After(crossedPause)
			n.look(n.lookListeners)
		case <-added:
			n.look(n.lookRoutes)
		case <-rest:
			noteCrossed, rest = crossed, nil
		case <-ctx.Done():
			return
		}
	}
}

// tick is what there is to do twice a second.
func (n *Node) tick() {
	n.look(n.lookListeners)
	for id, m := range n.others {
		if at := m.came.at(); !at.IsZero() {
			n.step(members.Moved{ID: id, At: at})
		}
		m.tick()
	}
	n.mu.Lock()
	load := members.Load{Draining: n.draining, Flows: uint64(n.options.Broker.Live())}
	n.mu.Unlock()
	n.step(load)
	n.step(members.Tick{})
}

// look sees what has become of what this node itself has.
func (n *Node) look(at ...func(*members.Entries)) {
	var change members.Own
	for _, look := range at {
		look(&change.Entries)
	}
	if change.Len() > 0 {
		n.step(change)
	}
}

func (n *Node) lookListeners(change *members.Entries) {
	changed, left := n.options.Broker.TakeChangedListeners()
	for _, l := range changed {
		is := ofBroker(l)
		if was, known := n.own[l.ID]; !known || was != is {
			n.own[l.ID] = is
			change.Set = append(change.Set, is)
		}
	}
	for _, id := range left {
		if _, known := n.own[id]; known {
			delete(n.own, id)
			change.Removed = append(change.Removed, id)
		}
	}
	slices.Sort(change.Removed)
}

func (n *Node) lookRoutes(change *members.Entries) {
	there := map[uint64]bool{}
	for _, r := range n.options.Broker.AddedRoutes() {
		there[r.Number] = true
		if n.routes[r.Number] {
			continue
		}
		n.routes[r.Number] = true
		told, err := n.ownRoute(r)
		if err != nil {
			n.log.Warn("route not told to other nodes", "route", r.Name, "error", err)
			continue
		}
		change.SetRoutes = append(change.SetRoutes, told)
	}
	for id := range n.routes {
		if !there[id] {
			delete(n.routes, id)
			change.RemovedRoutes = append(change.RemovedRoutes, id)
		}
	}
	slices.Sort(change.RemovedRoutes)
}

// decode reads what another node has published; nil for what makes no sense, or is of no
// interest.
func (n *Node) decode(subject string, data []byte) members.Event {
	kind, from, _ := strings.Cut(strings.TrimPrefix(subject, n.bus.prefix), ".")
	switch kind {
	case "beat":
		var b gatewayv1.ClusterBeat
		if proto.Unmarshal(data, &b) == nil && b.GetNodeId() == from && b.GetNode() != "" {
			return members.Heard{Beat: wire.ToBeat(&b)}
		}
	case "table":
		var c gatewayv1.ClusterChange
		if proto.Unmarshal(data, &c) == nil && c.GetNodeId() == from {
			return members.Told{Change: wire.ToChange(&c)}
		}
	}
	return nil
}

// step has the machine take an event, and does what comes of it. What concerns other nodes
// is the loop's: of the events that others step, nothing of that comes.
func (n *Node) step(e members.Event) {
	n.mu.Lock()
	effects := n.machine.Step(time.Now(), e)
	n.mu.Unlock()
	for _, effect := range effects {
		switch e := effect.(type) {
		case members.Say:
			n.bus.publish("beat", string(n.self), wire.FromBeat(e.Beat))
		case members.Tell:
			n.bus.publish("table", string(n.self), wire.FromChange(e.Change))
		default:
			n.do(effect)
		}
	}
}

// do does what concerns another node.
func (n *Node) do(effect members.Effect) {
	switch e := effect.(type) {
	case members.Joined:
		n.counts.joined.Add(1)
		n.log.Info("node joined the cluster", "node", e.Name, "id", string(e.ID), "address", e.Address, "version", e.Version)
		n.others[e.ID] = newMember(&n.home, e.Node)
		n.numbers.add(n.others[e.ID].remote)
	case members.Updated:
		n.others[e.ID].update(e.Node)
	case members.Fetch:
		m := n.others[e.ID]
		n.running.Go(func() { n.answer(m.readTable()) })
	case members.Probe:
		m := n.others[e.ID]
		n.running.Go(m.ping)
	case members.Changed:
		n.others[e.Node.ID].change(&e.Entries)
	case members.Left:
		n.counts.left[e.Why].Add(1)
		level, why := slog.LevelWarn, fmt.Sprintf("node %s is not there any more: nothing has come of it for %v", e.Node.Name, n.options.members.Dead)
		if e.Why == members.Gone {
			level, why = slog.LevelInfo, fmt.Sprintf("node %s has left the cluster", e.Node.Name)
		}
		n.log.Log(context.Background(), level, "node left the cluster", "node", e.Node.Name, "id", string(e.Node.ID), "why", e.Why.String())
		n.numbers.remove(n.others[e.Node.ID].remote)
		n.others[e.Node.ID].drop(errors.New(why))
		delete(n.others, e.Node.ID)
	case members.Refused:
		n.refused(e)
	}
}

// refused logs why a node was not taken in.
func (n *Node) refused(e members.Refused) {
	n.counts.refused[e.Why].Add(1)
	detail := ""
	switch e.Why {
	case members.Stranger:
		detail = fmt.Sprintf("it speaks version %d of the protocol, this one %d: it is not taken in", e.Beat.Protocol, speaks)
	case members.Crowd:
		detail = fmt.Sprintf("there are %d already: it is not taken in", n.options.members.MaxNodes)
	case members.Namesake:
		detail = "there is another of its name: people cannot tell them apart"
	case members.Excess:
		detail = fmt.Sprintf("it has more routes than are taken from a node, %d or %d bytes: the rest is not used", n.options.members.MaxRoutes, n.options.members.MaxRouteBytes)
	}
	n.log.Warn("node of the cluster", "node", e.Beat.Name, "id", string(e.Beat.ID), "address", e.Beat.Address, "detail", detail)
}

// answer hands the loop what has become of something that it asked for.
func (n *Node) answer(e members.Event) {
	select {
	case n.events <- e:
	case <-n.over: // nobody asks any more
	}
}

// dropAll ends what there is with others.
func (n *Node) dropAll() {
	for _, m := range n.others {
		m.drop(errClosing)
	}
}

// alive has what another node has asked to carry end when that node does.
func (n *Node) alive(ctx context.Context, nodeID string) (context.Context, context.CancelFunc) {
	n.counts.carriedIn.Add(1)
	return n.lives.context(ctx, nodeID)
}

// table is what this node tells those who read it whole.
func (n *Node) table() []*gatewayv1.ReadTableResponse {
	n.mu.Lock()
	defer n.mu.Unlock()
	return wire.FromTable(n.machine.Table())
}
