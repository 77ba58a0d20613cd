package admin

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/status"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/ledger"
	"github.com/zioflow/gateway/broker/relay"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/server/contract"
)

// measure is a number of flows by which they can be put in order.
type measure struct {
	field string // of the contract, as it is written in order_by
	// of and shown are the same number: of a flow, and of one as operators see it.
	of    func(*relay.Flow, *relay.Pace) float64
	shown func(*gatewayv1.Flow) float64
}

var measures = []measure{
	{
		"id", func(f *relay.Flow, _ *relay.Pace) float64 { return float64(f.ID()) },
		func(f *gatewayv1.Flow) float64 { return float64(f.GetId()) },
	},
	{
		"opened", func(f *relay.Flow, _ *relay.Pace) float64 { return float64(f.Opened().UnixMicro()) },
		func(f *gatewayv1.Flow) float64 { return float64(f.GetOpened().AsTime().UnixMicro()) },
	},
	{
		"messages_per_second", func(_ *relay.Flow, p *relay.Pace) float64 { return shownRate(p.MessageRate) },
		(*gatewayv1.Flow).GetMessagesPerSecond,
	},
	{
		"bytes_per_second", func(_ *relay.Flow, p *relay.Pace) float64 { return shownRate(p.ByteRate) },
		(*gatewayv1.Flow).GetBytesPerSecond,
	},
	{
		"waits.giver_share", func(_ *relay.Flow, p *relay.Pace) float64 { return share(p.Waits.Giver, p.Waits) },
		func(f *gatewayv1.Flow) float64 { return f.GetWaits().GetGiverShare() },
	},
	{
		"waits.taker_share", func(_ *relay.Flow, p *relay.Pace) float64 { return share(p.Waits.Taker, p.Waits) },
		func(f *gatewayv1.Flow) float64 { return f.GetWaits().GetTakerShare() },
	},
	{
		"waits.gateway_share", func(_ *relay.Flow, p *relay.Pace) float64 { return share(p.Waits.Gateway, p.Waits) },
		func(f *gatewayv1.Flow) float64 { return f.GetWaits().GetGatewayShare() },
	},
}

// shownRate is a rate as operators see it.
func shownRate(rate float64) float64 { return rounded(rate, 1) }

// share is a part of the time in which a flow was active, as operators see it.
func share(part time.Duration, all ledger.Waits) float64 {
	total := all.Total()
	if total <= 0 {
		return 0
	}
	return rounded(float64(part)/float64(total), 3)
}

// ordering is how a listing is sorted.
type ordering struct {
	measure
	descending bool
	page       *page
	after      *place // where the page before has ended; nil for none
}

// place is where a flow is in an order. In a cluster a flow has a node, by name and by id.
type place struct {
	value    float64
	node, at string
	id       uint64
}

// newOrder reads in which order the caller wants which page.
func newOrder(request *gatewayv1.ListFlowsRequest) (*ordering, error) {
	field, direction, _ := strings.Cut(strings.TrimSpace(request.GetOrderBy()), " ")
	direction = strings.TrimSpace(direction)
	i := slices.IndexFunc(measures, func(m measure) bool { return m.field == field })
	if i < 0 || direction != "" && direction != "desc" {
		var fields []string
		for _, m := range measures {
			fields = append(fields, m.field)
		}
		return nil, contract.BadField("order_by", "is %q, want one of %s, with or without \" desc\" behind it", request.GetOrderBy(), strings.Join(fields, ", "))
	}
	o := &ordering{measure: measures[i], descending: direction != ""}
	query := fmt.Sprint(request.GetStates(), request.GetFilter(), "\x00", o.field, o.descending)
	var err error
	if o.page, err = newPage(&gatewayv1.ListFlowsRequest{PageSize: request.GetPageSize()}, query); err != nil {
		return nil, err
	}
	if token := request.GetPageToken(); token != "" {
		o.after, err = resumed(token, o.page.query)
	}
	return o, err
}

// compare is negative where a comes before b.
func (o *ordering) compare(a, b place) int {
	c := cmp.Or(cmp.Compare(b.value, a.value), cmp.Compare(a.node, b.node), cmp.Compare(a.at, b.at), cmp.Compare(b.id, a.id))
	if !o.descending {
		c = -c
	}
	return c
}

// behind tells whether a flow belongs on this page or on a later one.
func (o *ordering) behind(p place) bool { return o.after == nil || o.compare(p, *o.after) > 0 }

// token is that of the page that goes on behind a place.
func (p *place) token(query uint32) string {
	text := binary.BigEndian.AppendUint32(nil, query)
	text = binary.BigEndian.AppendUint64(text, math.Float64bits(p.value))
	text = binary.BigEndian.AppendUint64(text, p.id)
	return base64.RawURLEncoding.EncodeToString(append(text, p.at+"\x00"+p.node...))
}

// resumed is the place of a token.
func resumed(token string, query uint32) (*place, error) {
	text, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(text) < 20 {
		return nil, contract.BadField("page_token", "is none that was answered here")
	}
	at, node, whole := strings.Cut(string(text[20:]), "\x00")
	switch {
	case !whole:
		return nil, contract.BadField("page_token", "is none that was answered here")
	case binary.BigEndian.Uint32(text) != query:
		return nil, contract.BadField("page_token", "belongs to a listing that selects by something else")
	}
	return &place{math.Float64frombits(binary.BigEndian.Uint64(text[4:])), node, at, binary.BigEndian.Uint64(text[12:])}, nil
}

// candidate is a flow that may be on the page.
type candidate struct {
	place
	flow *relay.Flow
	pace relay.Pace
}

// best keeps the first ones of those that are put in.
type best struct {
	*ordering
	kept []candidate // sorted up to size
	full bool        // as many as the page has, and more
}

func (b *best) compareKept(x, y candidate) int { return b.compare(x.place, y.place) }

// put looks at another one. What is kept grows up to twice the page before it is sorted, so
// that one costs a comparison as a rule.
func (b *best) put(c candidate) {
	if b.full && b.compare(c.place, b.kept[b.page.size-1].place) > 0 {
		return
	}
	if b.kept = append(b.kept, c); len(b.kept) >= 2*b.page.size {
		b.cut()
	}
}

func (b *best) cut() {
	slices.SortFunc(b.kept, b.compareKept)
	if len(b.kept) > b.page.size {
		b.kept, b.full = b.kept[:b.page.size], true
	}
}

// listOrdered shows the first flows of an order, of all that are selected. Of the others it
// makes no more than a few numbers.
func (s *Service) listOrdered(ctx context.Context, request *gatewayv1.ListFlowsRequest) (*gatewayv1.ListFlowsResponse, error) {
	selected, err := newSelection(request.GetStates(), request.GetFilter())
	if err != nil {
		return nil, err
	}
	o, err := newOrder(request)
	if err != nil {
		return nil, err
	}
	first, response := &best{ordering: o}, &gatewayv1.ListFlowsResponse{}
	var own place
	if c := s.process.Status().Cluster; c != nil {
		own.node, own.at = c.Self.Name, c.Self.ID
	}
	now := time.Now()
	for f := range s.broker.FlowsBefore(broker.Latest) {
		if err := ctx.Err(); err != nil {
			return nil, status.FromContextError(err).Err()
		}
		pace := f.Pace()
		taken := selected.takesFlow(f, pace.Phase, now)
		if err := selected.tooCostly(s.filterCost); err != nil {
			return nil, err
		}
		if !taken {
			continue
		}
		response.TotalSize++
		c := candidate{place: own, flow: f, pace: pace}
		c.value, c.id = o.of(f, &pace), uint64(f.ID())
		if !o.behind(c.place) {
			response.PrecedingSize++
			continue
		}
		first.put(c)
	}
	first.cut()
	first.fill(response, selected)
	return response, nil
}

// fill has the response show the flows, as far as they are selected still and there is room.
func (b *best) fill(response *gatewayv1.ListFlowsResponse, selected *selection) {
	p := b.page
	for i, c := range b.kept {
		info := c.flow.Info()
		if !selected.takesPhase(info.Phase) {
			continue
		}
		info.MessageRate, info.ByteRate, info.Waits = c.pace.MessageRate, c.pace.ByteRate, c.pace.Waits // by which it was put in order
		flow := toFlow(&info, listedAttributes)
		if !p.takes(flow) {
			response.NextPageToken = b.kept[i-1].token(p.query)
			return
		}
		response.Flows = append(response.Flows, flow)
	}
	if more := response.GetPrecedingSize() + uint64(len(b.kept)); more < response.GetTotalSize() {
		response.NextPageToken = b.kept[len(b.kept)-1].token(p.query)
	}
}
