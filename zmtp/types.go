package zmtp

// SocketType is a socket's type as it stands in READY.
type SocketType string

// The types that take part in the patterns CLIENT/SERVER (RFC 41) and
// DEALER/ROUTER (RFC 28).
const (
	Client SocketType = "CLIENT"
	Server SocketType = "SERVER"
	Dealer SocketType = "DEALER"
	Router SocketType = "ROUTER"
	Req    SocketType = "REQ"
	Rep    SocketType = "REP"
)

// Accepts tells whether a socket of type t may speak to one of type peer. No
// type accepts one that is not listed above.
func (t SocketType) Accepts(peer SocketType) bool {
	switch t {
	case Client:
		return peer == Server
	case Server:
		return peer == Client
	case Dealer:
		return peer == Router || peer == Dealer || peer == Rep
	case Router:
		return peer == Router || peer == Dealer || peer == Req
	case Req:
		return peer == Router || peer == Rep
	case Rep:
		return peer == Dealer || peer == Req
	}
	return false
}

// Mechanism is a security mechanism's name as it stands in the greeting.
type Mechanism string

// The mechanisms that this package speaks.
const (
	Null  Mechanism = "NULL"
	Curve Mechanism = "CURVE"
)
