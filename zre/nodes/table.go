// Package nodes is the table of the nodes that discovery knows. It opens no sockets:
// package zre keeps it up to date.
package nodes

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/zioflow/gateway/zre/wire"
)

// Info is a node that was discovered. All who are shown it share it: nothing in it
// may be changed.
type Info struct {
	ID   uint64 // the node's number here; never used twice
	UUID wire.UUID
	// Name is what it calls itself. Several nodes may have the same one.
	Name string
	// Endpoint is its inbox, tcp://IP:PORT.
	Endpoint string
	// Local tells whether it is on this machine.
	Local bool
	// Headers are what it announces: valid UTF-8, of keys up to 255 bytes.
	Headers map[string]string
	// Entered is since when it is known, Changed when name, endpoint or headers last
	// became another.
	Entered, Changed time.Time
}

// Port is a port of a node, as ZIO has it: a socket that others connect to by the
// node's name and the port's.
type Port struct {
	Name string
	// Address is where it is bound, as the node announces it: empty if it is not, or
	// several with spaces between them.
	Address string
	// Socket is the type's name, such as SERVER or ROUTER; empty if it is not said.
	Socket string
}

const portPrefix, addressSuffix, socketSuffix = "zio.port.", ".address", ".socket"

// AddressHeader is the key of the header with a port's address, as ZIO announces it.
func AddressHeader(port string) string { return portPrefix + port + addressSuffix }

// SocketHeader is the same with its socket's type.
func SocketHeader(port string) string { return portPrefix + port + socketSuffix }

// Port returns the port of that name.
func (n *Info) Port(name string) (Port, bool) {
	address, ok := n.Headers[AddressHeader(name)]
	return Port{name, address, n.Headers[SocketHeader(name)]}, ok
}

// Ports returns all ports, by name.
func (n *Info) Ports() (ports []Port) {
	for key := range n.Headers {
		name, ok := strings.CutPrefix(key, portPrefix)
		if name, is := strings.CutSuffix(name, addressSuffix); ok && is {
			p, _ := n.Port(name)
			ports = append(ports, p)
		}
	}
	slices.SortFunc(ports, func(a, b Port) int { return cmp.Compare(a.Name, b.Name) })
	return ports
}

// usable is the first address of a port at which this machine may reach it; empty if
// there is none. Another machine's loopback and paths are not.
func (n *Info) usable(p Port) string {
	for address := range strings.FieldsSeq(p.Address) {
		if usable(address, n.Local) {
			return address
		}
	}
	return ""
}

// Table is the nodes that are known. Its methods may be called concurrently. A Node
// keeps one up to date; where there is no discovery, an empty one does.
type Table struct {
	mu       sync.Mutex
	nodes    map[uint64]*Info  // guarded by mu
	last     uint64            // guarded by mu; the latest ID
	changed  chan struct{}     // guarded by mu; closed, and made anew, with every change
	watchers map[*Watcher]bool // guarded by mu
}

// NewTable makes an empty table.
func NewTable() *Table {
	return &Table{nodes: map[uint64]*Info{}, changed: make(chan struct{}), watchers: map[*Watcher]bool{}}
}

// Lookup returns the address of a node's port, such as tcp://10.9.0.1:5555: the first
// one at which this machine may reach it. Where several nodes have the name, it is that
// of the one that is known for longest and has such a port. It returns false if there
// is none. The channel is closed with the next change of the table: to follow a port,
// wait for that and look it up again. Nothing is missed that way, however slow the caller.
//
// Nobody proves a name: whoever is on the network may take any.
func (t *Table) Lookup(node, port string) (address string, ok bool, changed <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p, ok := t.find(node, port)
	return p.Address, ok, t.changed
}

// LookupPort is Lookup that returns the port with its socket's type. Its address is one.
func (t *Table) LookupPort(node, port string) (Port, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.find(node, port)
}

// find looks a port up. t.mu is held.
func (t *Table) find(node, port string) (found Port, ok bool) {
	least := uint64(0)
	for id, n := range t.nodes {
		if n.Name != node || ok && id > least {
			continue
		}
		p, has := n.Port(port)
		if address := n.usable(p); has && address != "" {
			found, ok, least = Port{port, address, p.Socket}, true, id
		}
	}
	return found, ok
}

// Changed returns a channel that is closed when the next node enters, leaves or
// changes.
func (t *Table) Changed() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.changed
}

// After returns the nodes with an ID above that one, the lowest first.
func (t *Table) After(id uint64) []*Info {
	t.mu.Lock()
	defer t.mu.Unlock()
	nodes := make([]*Info, 0, len(t.nodes))
	for _, n := range t.nodes {
		if n.ID > id {
			nodes = append(nodes, n)
		}
	}
	slices.SortFunc(nodes, func(a, b *Info) int { return cmp.Compare(a.ID, b.ID) })
	return nodes
}

// Len is how many nodes there are.
func (t *Table) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.nodes)
}

// Put takes a node in, if its ID is 0, and gives it one; or else has it replace the one
// of its ID. It returns the node as it is kept. A node that is the same as before
// changes nothing.
func (t *Table) Put(n Info) *Info {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	was := t.nodes[n.ID]
	e := Event{Time: now, Kind: Entered, Node: &n}
	switch {
	case was == nil:
		t.last++
		n.ID, n.Entered, n.Changed = t.last, now, now
	case was.Name == n.Name && was.Endpoint == n.Endpoint && maps.Equal(was.Headers, n.Headers):
		return was
	default:
		n.Entered, n.Changed = was.Entered, now
		e.Kind, e.Was = Changed, was.Name
	}
	t.nodes[n.ID] = &n
	t.tell(e)
	return &n
}

// Remove takes a node out; the reason is one word. It returns false if there is none of
// that ID.
func (t *Table) Remove(id uint64, reason string) bool { return t.Take(id, reason) != nil }

// Take is Remove that returns the node as it was; nil if there is none.
func (t *Table) Take(id uint64, reason string) *Info {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.nodes[id]
	if n == nil {
		return nil
	}
	delete(t.nodes, id)
	t.tell(Event{Time: time.Now(), Kind: Left, Node: n, Reason: reason})
	return n
}

// tell tells everybody. t.mu is held.
func (t *Table) tell(e Event) {
	close(t.changed)
	t.changed = make(chan struct{})
	for w := range t.watchers {
		w.put(e)
	}
}
