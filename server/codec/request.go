package codec

import (
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/zio"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/server/contract"
)

// Request is an OpenRequest, a PutRequest or a GetRequest: what RecvMsg fills.
type Request struct {
	// Members are those of the message; GetRequestMembers and PutMembers stand for
	// their own types, all others for OpenRequest.
	Members *Members
	// Type is which member is set; NoType for none.
	Type zio.Type
	// BOT is the BOT.
	BOT *gatewayv1.Bot
	// Inbound is the PAY, DAT or EOT. Whoever has received the request takes it
	// over.
	Inbound *Inbound
	// TooLarge says that the message was not read, since it is too large in its label or
	// the number of its parts; nil for others. It is RESOURCE_EXHAUSTED.
	TooLarge error
}

// Drop releases a message that is not taken over.
func (r *Request) Drop() {
	if r.Inbound != nil {
		r.Inbound.Release()
	}
}

// EndsFlow tells whether it is the end of a flow that another gateway has made, for a
// reason of its own: no peer's EOT.
func (r *Request) EndsFlow() bool {
	return r.Type == zio.EOT && r.Inbound.Reason != flow.NotEnded && r.Inbound.Reason != flow.Completed
}

// decode reads the message. What is not written in the plainest way, or not
// sound, the generated code reads: a BOT, a member set twice, an unknown field.
func (r *Request) decode(data mem.BufferSlice, generated encoding.CodecV2) error {
	r.Type, r.BOT, r.Inbound, r.TooLarge = zio.NoType, nil, nil, nil
	data = coalesce(data)
	if r.Type, r.Inbound = readInbound(data, r.Members); r.Inbound != nil {
		return nil
	}
	if r.TooLarge = checkLimits(data, r.Members); r.TooLarge != nil {
		return nil
	}
	switch r.Members {
	case PutMembers:
		var whole gatewayv1.PutRequest
		if err := generated.Unmarshal(data, &whole); err != nil {
			return err
		}
		r.set(whole.GetBot(), nil, whole.GetDat(), whole.GetEot())
	case GetRequestMembers:
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
func (r *Request) set(bot *gatewayv1.Bot, pay *gatewayv1.Pay, dat *gatewayv1.Dat, eot *gatewayv1.Eot) {
	switch {
	case bot != nil:
		r.Type, r.BOT = zio.BOT, bot
	case pay != nil:
		r.Type, r.Inbound = zio.PAY, newInbound(pay)
		r.Inbound.Credit = pay.GetCredit()
	case dat != nil:
		r.Type, r.Inbound = zio.DAT, newInbound(dat)
	case eot != nil:
		r.Type, r.Inbound = zio.EOT, newInbound(eot)
		r.Inbound.Reason, r.Inbound.Detail = contract.ToReason(eot.GetReason()), eot.GetDetail()
	default:
		r.Type = zio.NoType
	}
}

// shortBuffer is the mean length of buffers below which a message is copied
// together: to keep them would cost too much beside what is in them.
const shortBuffer = 1 << 10

// coalesce returns data, copied into memory of its own if its buffers hold much more
// than the message.
func coalesce(data mem.BufferSlice) mem.BufferSlice {
	size, held := 0, 0
	for _, b := range data {
		size += b.Len()
		if _, exact := b.(mem.SliceBuffer); exact {
			held += b.Len()
		} else {
			held += cap(b.ReadOnlyData())
		}
	}
	if held > 2*size || len(data) > 1 && size/len(data) < shortBuffer {
		return mem.BufferSlice{mem.SliceBuffer(data.Materialize())}
	}
	return data
}

// readInbound reads a message that is one PAY, DAT or EOT and nothing else. It
// returns nil for any other, sound or not.
func readInbound(data mem.BufferSlice, members *Members) (zio.Type, *Inbound) {
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
	a := inboundPool.Get().(*Inbound)
	if !a.read(&c, kind, len(data)) {
		a.Release()
		return zio.NoType, nil
	}
	data.Ref()
	a.buffers = data
	return kind, a
}
