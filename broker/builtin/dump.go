package builtin

import (
	"context"

	"github.com/zioflow/gateway/broker/routing"
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/broker/zio"
)

// Dump returns a factory whose handlers take: they count messages and bytes,
// check that seqno rises by one, and log a line at the end.
func (h *Handlers) Dump() routing.Factory {
	return factory{
		handlers: h, name: "dump", direction: zio.Inject,
		prepare: func(o routing.Offer) (serve, error) { return dump, nil },
	}
}

func dump(ctx context.Context, s *session) (err error) {
	var (
		data transport.Count
		gaps uint64
		next uint64
	)
	defer func() {
		s.say("dump", "dump", "reason", reasonOf(err).String(), "messages", data.Messages, "bytes", data.Bytes, "gaps", gaps)
	}()
	owed := s.credit // what may be paid back
	for {
		if owed > 0 {
			if err := s.pay(owed); err != nil {
				return err
			}
			owed = 0
		}
		batch, err := s.take(ctx)
		if err != nil {
			return err
		}
		for _, d := range batch {
			seqno := d.Message.Seqno
			size := d.Size
			d.Message.Release()
			switch d.Type {
			case zio.DAT:
				if data.Messages > 0 && seqno != next {
					gaps++
				}
				next = seqno + 1
				data.Messages++
				data.Bytes += uint64(size)
				owed++
			case zio.EOT:
				return s.finish(d)
			}
		}
	}
}
