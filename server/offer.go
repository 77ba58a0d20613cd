package server

import (
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/routing"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/server/contract"
)

// Bounds of ListenRequest.max_offer_bytes.
const (
	defaultOfferSize = 2 << 20
	leastOfferSize   = 4 << 10
)

// offerSize is how large the offers of a listener may be. None is larger than what
// the gateway sends at all.
func offerSize(request *gatewayv1.ListenRequest, limits broker.Options) (int, error) {
	asked := int64(request.GetMaxOfferBytes())
	switch {
	case asked == 0:
		asked = defaultOfferSize
	case asked < leastOfferSize:
		return 0, contract.BadField("max_offer_bytes", "is %d, want %d or more, or 0 for %d", asked, leastOfferSize, defaultOfferSize)
	}
	return int(min(asked, int64(max(limits.MaxMessage, leastOfferSize)))), nil
}

// offered is an offer to a listener that takes no larger one than size. It holds no
// payload that it will not show.
type offered struct {
	routing.Offer
	size    int
	payload int // bytes
	parts   int
	omitted bool // the payload is left out
}

func newOffered(o routing.Offer, size int) *offered {
	f := &offered{Offer: o, size: size, payload: o.Bot.Size(), parts: o.Bot.Parts()}
	if f.payload+f.partsSize()+len(o.Bot.Label) > size {
		f.omitPayload()
	}
	return f
}

// partsSize is what the heads of the parts take.
func (f *offered) partsSize() int { return 8 * f.parts }

func (f *offered) omitPayload() {
	bare := *f.Bot
	bare.Payload, bare.Ends = nil, nil
	f.Bot, f.omitted = &bare, true
}

// weight is how many bytes of memory the offer holds.
func (f *offered) weight() int64 { return int64(f.Bot.Size() + len(f.Bot.Label) + f.Bot.PartsBurden()) }

// response is the offer as it is told, with as much of the BOT as it may hold.
func (f *offered) response() *gatewayv1.ListenResponse {
	bot := contract.BareBot(f.Bot)
	offer := &gatewayv1.Offer{
		Cid: f.CID, Bot: bot, Deadline: timestamppb.New(f.Deadline), Peer: contract.ToPeer(f.Client),
	}
	const heads = 2 << 10 // of all messages that lie within each other, and of left_out
	room := f.size - heads - proto.Size(offer)
	left := &gatewayv1.LeftOut{}
	if n := len(f.Bot.Label); n <= room {
		bot.Label = string(f.Bot.Label)
		room -= n
	} else {
		left.LabelBytes, room = uint64(n), 0
	}
	attributes, hidden := contract.Attributes(f.Bot.Label, contract.WholeAttributes(room))
	proto.Merge(left, hidden)
	if attributes != nil {
		room -= proto.Size(attributes)
	}
	bot.Attributes = attributes
	if f.payload+f.partsSize() <= room && !f.omitted {
		bot.Payload = f.Bot.Payload // in one piece each: WithLabel has made it
	} else {
		left.PayloadBytes, left.PayloadParts = uint64(f.payload), uint32(f.parts)
	}
	if proto.Size(left) > 0 {
		bot.LeftOut = left
	}
	return &gatewayv1.ListenResponse{Event: &gatewayv1.ListenResponse_Offer{Offer: offer}}
}
