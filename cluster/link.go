package cluster

import (
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/broker/zio"
)

// Deliver implements transport.Link. The other side's BOT goes no further: this one has had it.
func (c *carried) Deliver(d transport.Delivery) error {
	if d.Type == zio.BOT {
		d.Message.Release()
		return nil
	}
	weight := d.Weight
	c.Add(weight)
	err := c.Outbox.Deliver(d)
	if err != nil {
		c.Drop(weight)
	}
	return err
}

// Queued implements transport.Link.
func (c *carried) Queued() (messages, bytes int64) {
	return c.Sent.Queued() // the outbox knows of a part only
}

// Disconnect implements transport.Disconnector: it ends the stream, not the connection to the
// other node.
func (c *carried) Disconnect(detail string) {
	c.detail.Store(&detail)
	c.cancel()
}

// Describe implements transport.Describer.
func (c *carried) Describe() transport.LinkInfo {
	info := transport.LinkInfo{Protocol: "HTTP/2", Mechanism: "none", BytesOut: uint64(c.Progress.Left.Bytes.Load())}
	if c.at.secure != nil {
		info.Mechanism = "mtls"
	}
	info.QueuedMessages, info.QueuedBytes = c.Queued()
	return info
}
