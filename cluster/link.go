package cluster

import (
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/broker/zio"
)

// Deliver implements broker.Link. The client's BOT goes no further: the handler has had it.
func (c *carried) Deliver(d transport.Delivery) error {
	if d.Type == zio.BOT {
		d.Message.Release()
		return nil
	}
	weight := d.Weight
	c.delivered.Add(weight)
	err := c.Outbox.Deliver(d)
	if err != nil {
		c.progress.Left.Add(weight)
	}
	return err
}

// Queued implements broker.Link.
func (c *carried) Queued() (messages, bytes int64) {
	if c.closed.Load() {
		return 0, 0
	}
	messages, bytes = c.progress.Left.Messages.Load(), c.progress.Left.Bytes.Load() // first: the difference is never too small
	return c.delivered.Messages.Load() - messages, c.delivered.Bytes.Load() - bytes
}

// Moved implements broker.Mover.
func (c *carried) Moved() uint64 { return uint64(c.progress.Moved()) }

// Departed implements broker.Departed: a stream has one flow.
func (c *carried) Departed() transport.Count {
	return transport.Count{
		Messages: uint64(c.progress.DATs.Messages.Load()), Bytes: uint64(c.progress.DATs.Bytes.Load()),
	}
}

// Disconnect implements broker.Disconnector: it ends the stream, not the connection to the
// other node.
func (c *carried) Disconnect(detail string) {
	c.detail.Store(&detail)
	c.cancel()
}

// Describe implements broker.Describer.
func (c *carried) Describe() transport.LinkInfo {
	info := transport.LinkInfo{Protocol: "HTTP/2", Mechanism: "none", BytesOut: uint64(c.progress.Left.Bytes.Load())}
	if c.lead.member.node.secure != nil {
		info.Mechanism = "mtls"
	}
	info.QueuedMessages, info.QueuedBytes = c.Queued()
	return info
}
