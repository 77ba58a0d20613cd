package zre

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zioflow/gateway/internal/logs"
	"github.com/zioflow/gateway/zre/peers"
	"github.com/zioflow/gateway/zre/wire"
)

const (
	// tick is how often the machine is told the time.
	tick = time.Second / 2
	// rescan is how often the interfaces are looked at.
	rescan = 2 * time.Second
	// leaveNotice is how much earlier a node says that it leaves than it closes its
	// connections: others should learn it in that order.
	leaveNotice = 20 * time.Millisecond
	// eventRoom is how many events may wait. Beacons beyond it are dropped; connections
	// wait to be read.
	eventRoom = 256
)

// Node is a node on the network. Its methods may be called concurrently.
type Node struct {
	options Options
	uuid    wire.UUID
	table   *Table
	log     *slog.Logger
	sampler *logs.Sampler

	udp   *net.UDPConn
	inbox *inbox

	ctx     context.Context
	stop    context.CancelFunc
	events  chan peers.Event
	running sync.WaitGroup
	closing sync.Once
	quit    chan struct{} // closed by Close

	// Those below belong to the loop.
	beacons []netip.Addr
	outs    map[peers.Out]*outward
	ids     map[wire.UUID]uint64 // in the table
	later   []peers.Event        // that came of effects
	blind   bool                 // it was told that there is no network

	mu      sync.Mutex
	machine *peers.Machine // guarded by mu

	sent, heard, lost atomic.Uint64 // beacons; those lost are dropped, as too many waited
	panics            atomic.Uint64
}

// Stats is what has become of a node so far.
type Stats struct {
	// Nodes are those that are known; Connecting how many connections are being made.
	Nodes, Connecting int
	// Sent and Heard count beacons, with the node's own that it hears.
	Sent, Heard uint64
	// Dropped is how often something was dropped, by cause; for each cause there is.
	Dropped map[string]uint64
	// Panics are errors of this program, each of which has ended one connection, or all
	// of discovery.
	Panics uint64
}

// Open goes online. An error says why that is not possible: what is wrong with the
// options, or that a port cannot be had.
func Open(o Options) (*Node, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	n := &Node{
		options: o, table: o.Table, log: o.Log, events: make(chan peers.Event, eventRoom), quit: make(chan struct{}),
		outs: map[peers.Out]*outward{}, ids: map[wire.UUID]uint64{},
	}
	_, _ = rand.Read(n.uuid[:]) // it never fails
	if n.table == nil {
		n.table = NewTable()
	}
	if n.log == nil {
		n.log = slog.New(slog.DiscardHandler)
	}
	n.sampler = logs.NewSampler(n.log, logs.Options{Burst: 20, Rate: 1, TotalBurst: 200, TotalRate: 20})
	n.machine = peers.New(n.uuid, o.Peers)
	if err := n.bind(); err != nil {
		return nil, err
	}
	n.ctx, n.stop = context.WithCancel(context.Background())
	n.look()
	n.running.Go(n.loop)
	n.running.Go(n.listen)
	n.inbox.start()
	return n, nil
}

// bind opens the sockets.
func (n *Node) bind() error {
	config := net.ListenConfig{Control: share}
	udp, err := config.ListenPacket(context.Background(), "udp4", fmt.Sprintf("0.0.0.0:%d", n.options.BeaconPort))
	if err != nil {
		return fmt.Errorf("the UDP port %d for beacons: %w", n.options.BeaconPort, err)
	}
	n.udp = udp.(*net.UDPConn)
	host := "0.0.0.0"
	if n.options.Loopback {
		host = "127.0.0.1"
	}
	listener, err := net.Listen("tcp4", fmt.Sprintf("%s:%d", host, n.options.Inbox))
	if err != nil {
		_ = n.udp.Close()
		return fmt.Errorf("the TCP port %d for other nodes: %w", n.options.Inbox, err)
	}
	n.inbox = newInbox(n, listener)
	return nil
}

// UUID names the node for as long as it is open.
func (n *Node) UUID() wire.UUID { return n.uuid }

// Name is what the node calls itself.
func (n *Node) Name() string { return n.options.Name }

// Table is the nodes that are known.
func (n *Node) Table() *Table { return n.table }

// Stats is what has become of the node so far.
func (n *Node) Stats() Stats {
	n.mu.Lock()
	counts, connecting := n.machine.Counts(), n.machine.Connecting()
	n.mu.Unlock()
	counts[peers.Busy] += n.lost.Load()
	s := Stats{
		Nodes: n.table.Len(), Connecting: connecting, Sent: n.sent.Load(), Heard: n.heard.Load(), Panics: n.panics.Load(),
		Dropped: map[string]uint64{},
	}
	for _, cause := range peers.Causes() {
		s.Dropped[string(cause)] = counts[cause]
	}
	return s
}

// Close goes offline: all others are told by a beacon (PEER-8), and the table is
// emptied. Closing again does nothing.
func (n *Node) Close() (err error) {
	n.closing.Do(func() {
		close(n.quit)
		n.running.Wait()
		err = n.udp.Close()
	})
	return err
}

// loop has the machine take one event after the other.
func (n *Node) loop() {
	defer n.leave()
	defer n.recover("discovery has ended")
	ticks, beacons, scans := time.NewTicker(tick), time.NewTicker(n.options.Beacon), time.NewTicker(rescan)
	defer ticks.Stop()
	defer beacons.Stop()
	defer scans.Stop()
	n.shout(n.inbox.port)
	for {
		select {
		case e := <-n.events:
			n.step(e)
		case <-ticks.C:
			n.step(peers.Tick{})
		case <-beacons.C:
			n.shout(n.inbox.port)
		case <-scans.C:
			n.look()
		case <-n.quit:
			return
		}
	}
}

// leave ends all that the node has begun, after it was told that it leaves.
func (n *Node) leave() {
	n.shout(0)
	time.Sleep(leaveNotice)
	n.stop()
	n.inbox.close()
	_ = n.udp.SetReadDeadline(time.Unix(1, 0))
	for _, o := range n.outs {
		o.stop()
	}
	for _, id := range n.ids {
		n.table.Remove(id, "offline")
	}
}

// recover keeps an error of this program from ending more than what it has met.
func (n *Node) recover(what string) {
	if problem := recover(); problem != nil {
		n.panics.Add(1)
		n.log.Error(what, "error", fmt.Sprint(problem), "stack", string(debug.Stack()))
	}
}

// offer gives the loop an event, unless too many wait.
func (n *Node) offer(e peers.Event) {
	select {
	case n.events <- e:
	default:
		n.lost.Add(1)
	}
}

// tell gives the loop an event; false if the node is being closed.
func (n *Node) tell(e peers.Event) bool {
	select {
	case n.events <- e:
		return true
	case <-n.ctx.Done():
		return false
	}
}

// step has the machine take an event, and does what comes of it.
func (n *Node) step(e peers.Event) {
	n.later = append(n.later, e)
	for len(n.later) > 0 {
		e, n.later = n.later[0], n.later[1:]
		if closed, is := e.(peers.Closed); is {
			n.hang(closed.Out)
		}
		n.mu.Lock()
		effects := n.machine.Step(time.Now(), e)
		n.mu.Unlock()
		for _, effect := range effects {
			n.do(effect)
		}
	}
	n.later = nil
}
