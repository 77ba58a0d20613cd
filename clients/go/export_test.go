package zioflow

// Calls counts the calls and flows under way, for tests to see what is left.
func (g *Gateway) Calls() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.scopes)
}
