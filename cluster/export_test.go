package cluster

import "sync"

// Speak has the nodes of this process, before there is one, be of that version of the
// protocol.
func Speak(protocol uint32) { speaks = protocol }

// vias are what stands before nodes, by their addresses for others.
var vias sync.Map

func init() {
	reachedAt = func(address string) string {
		if via, is := vias.Load(address); is {
			return via.(string)
		}
		return address
	}
}

// Via has the nodes of this process reach the one at an address by another from now on.
func Via(address, other string) { vias.Store(address, other) }
