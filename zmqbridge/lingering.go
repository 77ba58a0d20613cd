package zmqbridge

import "time"

// Limits of what a peer that is being left may make us wait for, and read.
const (
	lingerTime          = time.Second // or Linger, if that is less
	lingerBytes         = 4 << 20
	lingerBytesStranger = 64 << 10 // partBytes for one whose handshake has failed
)

// lingeringClose closes a connection whose peer was sent something last. A network may drop that if the
// socket is closed with bytes unread, by the reset that this sends: so the peer is shown
// that nothing more comes, and what it sends is passed over until it has closed its side
// or may have read ours. Strangers are left at once where they take up many of the slots
// of those whose handshake may yet succeed.
func (c *conn) lingeringClose() {
	if c.peer == nil && c.members.crowded() {
		return
	}
	half, ok := c.socket.Conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	patience := min(lingerTime, c.site.options.Linger)
	enough := time.NewTimer(patience)
	defer enough.Stop()
	if c.socket.SetReadDeadline(time.Now().Add(patience)) != nil {
		return
	}
	left := lingerBytesStranger
	if c.peer != nil {
		left = lingerBytes
	}
	in := &unread{}
	defer in.drop()
	for left > 0 {
		n, err := c.socket.read(in.space, in.idle)
		if err != nil {
			return
		}
		c.site.stats.bytesIn.Add(uint64(n))
		left -= n
	}
	in.drop()
	<-enough.C
}
