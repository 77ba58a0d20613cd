// Package crowd bounds the connections of those who have not shown yet who they are. A
// front cannot refuse a stranger before it has listened to him, and must not let
// strangers take the place of those it knows. So it takes all who come, and of too
// many sends away who has been there longest.
package crowd

import (
	"container/list"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// Limits bound a crowd.
type Limits struct {
	// Strangers is how many connections there may be of those who are not known; beyond
	// it the oldest is closed, of the host that has most. Known is how many of those who
	// are; beyond it new connections are closed. Both are more than 0.
	Strangers, Known int
	// Patience is how long a stranger may leave something unread that is written to
	// him; 0 for as long as he likes.
	Patience time.Duration
	// Calls is how often in a second a stranger may ask for something, and Burst how
	// often at once.
	Calls float64
	Burst int
}

// Crowd is the connections of a front. Its methods may be called concurrently.
type Crowd struct {
	limits Limits

	mu        sync.Mutex
	hosts     map[string]*list.List // guarded by mu; of strangers, the oldest first
	strangers int                   // guarded by mu
	known     int                   // guarded by mu
	closed    uint64                // guarded by mu; for want of room
}

// New makes an empty crowd.
func New(limits Limits) *Crowd { return &Crowd{limits: limits, hosts: map[string]*list.List{}} }

// Visitor is a connection of a crowd. Its methods may be called concurrently.
type Visitor struct {
	crowd *Crowd
	conn  net.Conn // as it was accepted
	host  string
	calls *rate.Limiter
	rush  rush

	isKnown atomic.Bool
	writing atomic.Int64  // since when something is being written, in ns since the epoch; 0 for nothing
	place   *list.Element // guarded by crowd.mu; nil once known or gone
	gone    bool          // guarded by crowd.mu
}

// Enter takes a connection in, as a stranger's. It may close another one for it, or,
// where all who are known fill the room, this one.
func (c *Crowd) Enter(conn net.Conn) *Visitor {
	v := &Visitor{crowd: c, conn: conn, host: Host(conn.RemoteAddr()), calls: rate.NewLimiter(rate.Limit(c.limits.Calls), c.limits.Burst)}
	v.rush.fewer = make(chan struct{}, 1)
	if out := c.add(v); out != nil {
		_ = out.conn.Close() // who reads from it sees that
	}
	return v
}

// add returns who has to go for v, if anybody.
func (c *Crowd) add(v *Visitor) (out *Visitor) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known >= c.limits.Known {
		v.gone = true
		c.closed++
		return v
	}
	if c.strangers >= c.limits.Strangers {
		out = c.oldest()
		out.leave()
		c.closed++
	}
	if c.hosts[v.host] == nil {
		c.hosts[v.host] = list.New()
	}
	v.place = c.hosts[v.host].PushBack(v)
	c.strangers++
	return out
}

// oldest is the oldest stranger of the host that has most. There is one. c.mu is held.
func (c *Crowd) oldest() *Visitor {
	var most *list.List
	for _, host := range c.hosts {
		if most == nil || host.Len() > most.Len() {
			most = host
		}
	}
	return most.Front().Value.(*Visitor)
}

// leave takes the visitor out of the strangers, or the known. v.crowd.mu is held.
func (v *Visitor) leave() {
	c := v.crowd
	switch {
	case v.gone:
	case v.place != nil:
		v.forget()
	default:
		c.known--
	}
	v.gone = true
}

// forget takes the visitor off the list of strangers. v.crowd.mu is held.
func (v *Visitor) forget() {
	c := v.crowd
	strangers := c.hosts[v.host]
	strangers.Remove(v.place)
	if strangers.Len() == 0 {
		delete(c.hosts, v.host)
	}
	v.place = nil
	c.strangers--
}

// Know tells that the visitor has shown who he is, or that nobody is asked. From then
// on only the number of all counts him. Telling it again costs next to nothing.
func (v *Visitor) Know() {
	if v.isKnown.Load() {
		return
	}
	c := v.crowd
	c.mu.Lock()
	defer c.mu.Unlock()
	if !v.gone && v.place != nil {
		v.forget()
		c.known++
		v.isKnown.Store(true)
	}
}

// Leave tells that the connection is closed. Leaving again does nothing.
func (v *Visitor) Leave() {
	v.crowd.mu.Lock()
	defer v.crowd.mu.Unlock()
	v.leave()
}

// Gone tells whether the connection was closed.
func (v *Visitor) Gone() bool {
	v.crowd.mu.Lock()
	defer v.crowd.mu.Unlock()
	return v.gone
}

// Ask tells whether the visitor may ask for something: false for a stranger who asks
// too often. One who does not read his refusals either loses his connection: they
// would pile up.
func (v *Visitor) Ask() bool {
	if v.isKnown.Load() || v.calls.Allow() {
		return true
	}
	if since := v.writing.Load(); since != 0 && time.Since(time.Unix(0, since)) > unreadAnswers {
		_ = v.conn.Close()
	}
	return false
}

// unreadAnswers is how long answers to a stranger who asks too often may wait.
const unreadAnswers = 100 * time.Millisecond

// Count is how many strangers and known ones there are, and how many connections were
// closed for want of room.
func (c *Crowd) Count() (strangers, known int, closed uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.strangers, c.known, c.closed
}

// Host is where a connection comes from, without its port: "unix" for all that come by sockets
// of this machine.
func Host(from net.Addr) string {
	if from.Network() == "unix" {
		return "unix"
	}
	if name, _, err := net.SplitHostPort(from.String()); err == nil {
		return name
	}
	return from.String()
}
