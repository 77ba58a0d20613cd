package server

import (
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/zioflow/gateway/broker/zio"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// request is an OpenRequest, a PutRequest or a GetRequest: what RecvMsg fills.
type request struct {
	members *oneof
	// kind is which member is set; NoType for none.
	kind zio.Type
	// bot is the BOT.
	bot *gatewayv1.Bot
	// arrival is the PAY, DAT or EOT. Whoever has received the request takes it
	// over.
	arrival *arrival
	// excess says that the message was not read, since it is too large in its label or
	// the number of its parts; nil for others.
	excess error
}

// drop releases what nobody takes over.
func (r *request) drop() {
	if r.arrival != nil {
		r.arrival.Release()
	}
}

// decode reads the message. What is not written in the plainest way, or not
// sound, the generated code reads: a BOT, a member set twice, an unknown field.
func (r *request) decode(data mem.BufferSlice, generated encoding.CodecV2) error {
	r.kind, r.bot, r.arrival, r.excess = zio.NoType, nil, nil, nil
	data = compact(data)
	if r.kind, r.arrival = readArrival(data, r.members); r.arrival != nil {
		return nil
	}
	if r.excess = excess(data, r.members); r.excess != nil {
		return nil
	}
	switch r.members {
	case putMembers:
		var whole gatewayv1.PutRequest
		if err := generated.Unmarshal(data, &whole); err != nil {
			return err
		}
		r.set(whole.GetBot(), nil, whole.GetDat(), whole.GetEot())
	case getRequestMembers:
		var whole gatewayv1.GetRequest
		if err := generated.Unmarshal(data, &whole); err != nil {
			return err
		}
		r.set(whole.GetBot(), nil, nil, nil)
	default:
		var whole gatewayv1.OpenRequest
		if err := generated.Unmarshal(data, &whole); err != nil {
			return err
		}
		r.set(whole.GetBot(), whole.GetPay(), whole.GetDat(), whole.GetEot())
	}
	return nil
}

// set takes the one member that is not nil.
func (r *request) set(bot *gatewayv1.Bot, pay *gatewayv1.Pay, dat *gatewayv1.Dat, eot *gatewayv1.Eot) {
	switch {
	case bot != nil:
		r.kind, r.bot = zio.BOT, bot
	case pay != nil:
		r.kind, r.arrival = zio.PAY, newArrival(pay)
		r.arrival.credit = pay.GetCredit()
	case dat != nil:
		r.kind, r.arrival = zio.DAT, newArrival(dat)
	case eot != nil:
		r.kind, r.arrival = zio.EOT, newArrival(eot)
	default:
		r.kind = zio.NoType
	}
}

// shortFrame is the mean length of frames below which a message is copied
// together: to keep them would cost too much beside what is in them.
const shortFrame = 1 << 10

// compact is data, copied into memory of its own if its buffers hold much more
// than the message.
func compact(data mem.BufferSlice) mem.BufferSlice {
	size, held := 0, 0
	for _, b := range data {
		size += b.Len()
		if _, exact := b.(mem.SliceBuffer); exact {
			held += b.Len()
		} else {
			held += cap(b.ReadOnlyData())
		}
	}
	if held > 2*size || len(data) > 1 && size/len(data) < shortFrame {
		return mem.BufferSlice{mem.SliceBuffer(data.Materialize())}
	}
	return data
}

// readArrival reads a message that is one PAY, DAT or EOT and nothing else. It
// answers nil for any other, sound or not.
func readArrival(data mem.BufferSlice, members *oneof) (zio.Type, *arrival) {
	c := newCursor(data)
	tag, ok := c.varint()
	if !ok {
		return zio.NoType, nil
	}
	kind := zio.NoType
	for t := zio.PAY; t <= zio.EOT; t++ {
		if members[t] != 0 && tag == protowire.EncodeTag(members[t], protowire.BytesType) {
			kind = t
		}
	}
	if kind == zio.NoType {
		return zio.NoType, nil
	}
	if size, ok := c.size(); !ok || size != c.left {
		return zio.NoType, nil
	}
	a := arrivals.Get().(*arrival)
	if !a.read(&c, kind, len(data)) {
		a.Release()
		return zio.NoType, nil
	}
	data.Ref()
	a.frames = data
	return kind, a
}
