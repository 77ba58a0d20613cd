package zmqbridge

import "time"

// Limits of what a peer that is being left may make us wait for, and read.
const (
	partTime     = time.Second // or Linger, if that is less
	partBytes    = 4 << 20
	partStranger = 64 << 10 // partBytes for one whose handshake has failed
)

// part leaves a peer that was told something last. A network may drop that if the
// socket is closed with bytes unread, by the reset that this sends: so the peer is shown
// that nothing more comes, and what it sends is passed over until it has closed its side
// or may have read ours. Strangers are left at once where they take up many of the places
// of those whose handshake may yet succeed.
func (c *conn) part() {
	if c.peer == nil && c.endpoint.crowded() {
		return
	}
	half, ok := c.socket.Conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	patience := min(partTime, c.endpoint.options.Linger)
	enough := time.NewTimer(patience)
	defer enough.Stop()
	if c.socket.SetReadDeadline(time.Now().Add(patience)) != nil {
		return
	}
	left := partStranger
	if c.peer != nil {
		left = partBytes
	}
	in := &unread{}
	defer in.drop()
	for left > 0 {
		n, err := c.socket.read(in.space, in.idle)
		if err != nil {
			return
		}
		c.endpoint.stats.bytesIn.Add(uint64(n))
		left -= n
	}
	in.drop()
	<-enough.C
}
