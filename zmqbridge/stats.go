package zmqbridge

// Stats describes the endpoints as they are now.
func (b *bridge) Stats() []Stats {
	all := make([]Stats, 0, len(b.endpoints))
	for _, e := range b.endpoints {
		all = append(all, e.describe())
	}
	return all
}

// Panics counts those on connections' paths; each has ended one connection.
func (b *bridge) Panics() uint64 { return b.panics.Load() }

func (e *endpoint) describe() Stats {
	s := Stats{
		Endpoint: e.front, Handshakes: map[string]uint64{}, Ended: map[string]uint64{},
		BytesIn: e.stats.bytesIn.Load(), BytesOut: e.stats.bytesOut.Load(), TooLarge: e.stats.tooLarge.Load(),
	}
	for o, n := range e.stats.outcomes.counts {
		s.Handshakes[string(o)] = n.Load()
	}
	for c, n := range e.stats.ended {
		s.Ended[string(c)] = n.Load()
	}
	conns := e.all()
	s.Connections = len(conns)
	for _, c := range conns {
		messages, bytes := c.out.Queued()
		s.OutboxMessages += messages
		s.OutboxBytes += bytes
	}
	e.mu.Lock()
	s.Handshaking = len(e.handshaking)
	e.mu.Unlock()
	return s
}
