package logs

import (
	"container/list"
	"time"
)

// crowd is the peers that have caused lines of one kind. Those that it remembers
// have a bucket each. When there are more than it may remember, those that come
// last share one: it still has lines, but not of each.
type crowd struct {
	members map[string]*member
	order   *list.List // of *member; who came last is in front
	total   bucket     // of all members together
	rest    member     // all who are not remembered
}

// member is one peer, in one kind of lines.
type member struct {
	key   string
	place *list.Element
	own   bucket
	last  time.Time // when it had a line
	left  int       // how many lines were left out since
}

func newCrowd() *crowd {
	return &crowd{members: map[string]*member{}, order: list.New()}
}

// take tells whether a line of that peer may be written, and if so how many were
// left out since the one before.
func (c *crowd) take(key string, now time.Time, o *Options) (suppressed int, ok bool) {
	m := c.find(key, now, o)
	if !m.own.has(now, o.Burst, o.Rate) || m != &c.rest && !c.room(m, now, o) {
		m.left++
		return 0, false
	}
	m.own.spent++
	m.last = now
	suppressed, m.left = m.left, 0
	return suppressed, true
}

// room tells whether all members together have room for a line of m. Who had none
// for a while is not silenced by others.
func (c *crowd) room(m *member, now time.Time, o *Options) bool {
	if c.total.has(now, o.TotalBurst, o.TotalRate) {
		c.total.spent++
		return true
	}
	return now.Sub(m.last) >= o.Quiet
}

// find is the member of that key, a new one, or the rest if there is no room.
func (c *crowd) find(key string, now time.Time, o *Options) *member {
	if m := c.members[key]; m != nil {
		c.order.MoveToFront(m.place)
		return m
	}
	if len(c.members) >= o.Peers && !c.forget(now, o) {
		return &c.rest
	}
	m := &member{key: key}
	m.place = c.order.PushFront(m)
	c.members[key] = m
	return m
}

// forget forgets who was silent for longest, if its bucket is full again, so that
// nobody gets more lines by being forgotten. What was left out of its lines is
// told with those of the rest.
func (c *crowd) forget(now time.Time, o *Options) bool {
	oldest := c.order.Back().Value.(*member)
	if oldest.own.look(now, o.Rate) > 0 || now.Sub(oldest.last) < o.Quiet {
		return false
	}
	c.rest.left += oldest.left
	c.order.Remove(oldest.place)
	delete(c.members, oldest.key)
	return true
}
