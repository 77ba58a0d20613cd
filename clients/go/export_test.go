package zioflow

// Calls counts the calls and flows under way, for tests to see what is left.
func (g *Gateway) Calls() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.scopes)
}

// Waiting counts the messages that were read and not taken yet.
func (t *Taker) Waiting() int {
	t.shelf.mu.Lock()
	defer t.shelf.mu.Unlock()
	return len(t.shelf.dats)
}
