package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"

	"github.com/zioflow/gateway/broker/listeners"
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/cluster/members"
	"github.com/zioflow/gateway/cluster/wire"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/server/contract"
)

// readTimeout is how long a node may take to tell its table.
const readTimeout = 5 * time.Second

// member is another node, with the connection to it and its listeners and routes as this node's
// broker has them. But for readTable, its methods are the loop's.
type member struct {
	*remote
	leads    map[uint64]*lead     // to its listeners, by their numbers
	routes   map[uint64]*farRoute // by their numbers
	draining bool
}

func newMember(h *home, of members.Node) *member {
	return &member{remote: newRemote(h, of), draining: of.Draining, leads: map[uint64]*lead{}, routes: map[uint64]*farRoute{}}
}

// readTable reads the node's table, and returns what came of it.
func (m *member) readTable() members.Event {
	table, err := m.tryTable()
	if err != nil {
		m.counts.tablesFailed.Add(1)
		m.log.Warn("listeners and routes of a node not read", "node", m.name, "error", err)
		m.pause() // the next beat has it tried again
		return members.Failed{ID: m.id}
	}
	m.counts.tablesRead.Add(1)
	return members.Read{Table: table}
}

// pause waits a moment, but not for a node that has gone, nor when this one ends.
func (m *member) pause() {
	timer := time.NewTimer(redialPause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-m.ctx.Done():
	case <-m.over:
	}
}

func (m *member) tryTable() (t members.Table, err error) {
	if m.conn == nil {
		return t, m.wrong
	}
	ctx, cancel := context.WithTimeout(m.ctx, readTimeout)
	defer cancel()
	stream, err := gatewayv1.NewClusterServiceClient(m.conn).ReadTable(ctx, &gatewayv1.ReadTableRequest{}, grpc.WaitForReady(true))
	if err != nil {
		return t, err
	}
	t.ID = m.id
	for {
		part, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return t, nil
		case err != nil:
			return t, err
		case part.GetNodeId() != string(m.id):
			return t, fmt.Errorf("another node is at its address %s", m.conn.CanonicalTarget())
		}
		t.Number = part.GetNumber()
		t.Listeners = append(t.Listeners, wire.ToListeners(part.GetListeners())...)
		if most := m.options.members.MaxListeners; len(t.Listeners) > most {
			return t, fmt.Errorf("it has more than %d listeners", most)
		}
		m.takeRoutes(&t, wire.ToRoutes(part.GetRoutes()))
	}
}

// update takes note of what the node says of itself.
func (m *member) update(is members.Node) {
	m.draining = is.Draining
	for _, l := range m.leads {
		l.drain(m.draining)
	}
	for _, r := range m.routes {
		r.drain(m.draining)
	}
}

// tick has listeners and routes be tried again that could take nothing when they were tried
// last, and sees what the others have to do.
func (m *member) tick() {
	for _, l := range m.leads {
		if l.held.CompareAndSwap(true, false) {
			l.load()
		}
		l.recount()
	}
	for _, r := range m.routes {
		r.release()
	}
}

// change takes in what has changed of what the node has.
func (m *member) change(e *members.Entries) {
	for _, id := range e.Removed {
		m.remove(id)
	}
	for _, l := range e.Set {
		m.set(l)
	}
	for _, b := range e.Busy {
		if l := m.leads[b.ID]; l != nil {
			l.is.Flows = b.Flows
			l.load()
		}
	}
	for _, id := range e.RemovedRoutes {
		m.removeRoute(id)
	}
	for _, r := range e.SetRoutes {
		m.addRoute(r)
	}
}

func (m *member) remove(id uint64) {
	if l := m.leads[id]; l != nil {
		delete(m.leads, id)
		l.close()
	}
}

// set takes in a listener, or what it is now.
func (m *member) set(is members.Listener) {
	if l := m.leads[is.ID]; l != nil {
		same := l.is
		same.Flows = is.Flows
		if same == is {
			l.is = is
			l.load()
			return
		}
		m.remove(is.ID) // so that its match is asked anew
	}
	l := &lead{at: m.remote, draining: m.draining, id: is.ID, name: is.Name, is: is, ends: map[uint64]context.CancelFunc{}}
	err := l.listen(listeners.Spec{
		Name: is.Name, Match: m.matches.of(is.Match), MaxFlows: is.MaxFlows, Sink: l,
		Peer: transport.PeerInfo{Transport: is.Transport, Address: is.Address, Identity: is.Identity, Name: is.Holder, Node: m.name},
	})
	if err != nil {
		m.log.Warn("listener of a node cannot be used", "node", m.name, "listener", is.Name, "error", err)
		return
	}
	m.leads[is.ID] = l
	l.load()
}

// drop ends whatever stands with the node.
func (m *member) drop(why error) {
	for id := range m.leads {
		m.remove(id)
	}
	for id := range m.routes {
		m.removeRoute(id)
	}
	m.lives.end(m.id, why)
	if m.conn != nil {
		_ = m.conn.Close()
	}
}

// takeRoutes adds routes to a table, as far as some will be taken in, and one more.
func (m *member) takeRoutes(t *members.Table, more []members.Route) {
	size := 0
	for i := range t.Routes {
		size += t.Routes[i].Size()
	}
	for i := 0; i < len(more) && len(t.Routes) <= m.options.members.MaxRoutes && size <= m.options.members.MaxRouteBytes; i++ {
		t.Routes = append(t.Routes, more[i])
		size += more[i].Size()
	}
}

// addRoute takes in a route, once it is known what it matches.
func (m *member) addRoute(is members.Route) {
	f := &farRoute{at: m.remote, id: is.ID, draining: m.draining}
	route, err := wire.RouteOf(is)
	if err == nil {
		f.spec, err = contract.ToSpec(route)
	}
	if err != nil { // what this node cannot read the other knows
		m.log.Warn("route of a node cannot be read", "node", m.name, "route", f.spec.Name, "error", err)
	}
	m.routes[is.ID] = f
	m.compiler.add(f)
}

func (m *member) removeRoute(id uint64) {
	if f := m.routes[id]; f != nil {
		delete(m.routes, id)
		f.remove()
	}
}
