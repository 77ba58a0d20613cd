package cluster

// Speak has the nodes of this process, before there is one, be of that version of the
// protocol.
func Speak(protocol uint32) { speaks = protocol }
