package main_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/zio"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// part is one flow of a pairing: what crosses, for which credit.
type part struct {
	*corpus
	offer, answer int64 // the client's credit, the handler's
}

// parts are the flows of every pairing.
var parts = []part{
	{corpora[0], 1, 5},
	{corpora[0], 3, 2},
	{corpora[0], 10, 10},
	{corpora[0], 100, 2000}, // beyond the gateway's limit
	{corpora[1], 10, 2},
	{corpora[2], 2, 2},
}

func (p part) credit() int64 { return min(p.offer, p.answer) }

// TestPairing_MSG_11_FLOW_2_FLOW_13_FLOW_22_BRK_1_BRK_2_BRK_4_BRK_10_BRK_11_BRK_12
// has every kind of client exchange data with every kind of handler, both ways.
// The flows of a pairing follow one another on the same sockets. Odd flows are
// ended by the taker; the next pairing has it the other way round.
func TestPairing_MSG_11_FLOW_2_FLOW_13_FLOW_22_BRK_1_BRK_2_BRK_4_BRK_10_BRK_11_BRK_12(t *testing.T) {
	g := startGateway(t)
	l := g.listen(t, &gatewayv1.ListenRequest{Name: "all"})
	takerEnds := false
	for _, client := range transports {
		for _, handler := range transports {
			for _, direction := range []zio.Direction{zio.Extract, zio.Inject} {
				t.Run(fmt.Sprintf("%s_to_%s/%v", client, handler, direction), func(t *testing.T) {
					x := pairing{gateway: g, listener: l, client: g.dial(t, client), handler: g.dial(t, handler),
						clientVia: client, handlerVia: handler, direction: direction}
					for _, p := range parts {
						if !x.carries(p.largest()) {
							continue
						}
						x.run(t, p, takerEnds)
						takerEnds = !takerEnds
					}
				})
				takerEnds = !takerEnds
			}
		}
	}
}

// pairing is a client and a handler.
type pairing struct {
	gateway    *inProcess
	listener   *listener
	client     peer
	clientVia  transportName
	handler    peer
	handlerVia transportName
	direction  zio.Direction // the client's
}

// carries tells whether messages of that size are to cross this pairing: every one, or
// where that takes too long those that together go from every transport to another, and
// back. Under the race detector that are those of 5 MB, and none of 60: the same are run
// without it.
func (x *pairing) carries(size int) bool {
	huge := size > maxUnderRace
	switch {
	case size < 1_000_000, !raceDetector && (!huge || !testing.Short()):
		return true
	case raceDetector && huge:
		return false
	}
	next := map[transportName]transportName{viaClient: viaDealer, viaDealer: viaGRPC, viaGRPC: viaClient}
	return next[x.clientVia] == x.handlerVia
}

// run has the pair go through one flow.
func (x *pairing) run(t *testing.T, p part, takerEnds bool) {
	t.Helper()
	client := &side{peer: x.client, via: x.clientVia, from: x.handlerVia, credit: p.credit()}
	handler := &side{peer: x.handler, via: x.handlerVia, from: x.clientVia, credit: p.credit()}
	x.open(t, p, client, handler)

	giver, taker := client, handler
	if x.direction == zio.Inject {
		giver, taker = handler, client
	}
	giver.ends, taker.ends = !takerEnds, takerEnds
	giver.withheld = p.credit()*int64(p.largest()) > 1<<20
	var both errgroup.Group
	both.Go(func() error { return leaveOnError(giver, giver.give(p.corpus)) })
	both.Go(func() error { return leaveOnError(taker, taker.take(p.corpus)) })
	if err := both.Wait(); err != nil {
		t.Fatalf("%s, credit %d: %v", p.name, p.credit(), err)
	}

	f := x.gateway.wantEnd(t, flow.Completed)
	if f.Data.Messages != uint64(p.count) || f.Data.Bytes != uint64(p.bytes()) {
		t.Errorf("the gateway counted %d messages with %d bytes, want %d and %d",
			f.Data.Messages, f.Data.Bytes, p.count, p.bytes())
	}
	if f.Client.Transport != x.clientVia.name() || f.Handler.Transport != x.handlerVia.name() {
		t.Errorf("the gateway saw %v and %v, want %s and %s", f.Client, f.Handler, x.clientVia.name(), x.handlerVia.name())
	}
}

// leaveOnError leaves, so that the other side fails as well instead of waiting.
func leaveOnError(p peer, err error) error {
	if err != nil {
		p.leave()
	}
	return err
}

// The applications' own words in the BOTs, which must cross both ways.
const (
	clientWords  = `"stream":"rohdaten ü","run":18446744073709551615,"list":[1,{"x":null}]`
	handlerWords = `"answer":"\u00e9\n","id":9007199254740993`
)

// open exchanges the BOTs, and checks them at every hop.
func (x *pairing) open(t *testing.T, p part, client, handler *side) {
	t.Helper()
	back := x.direction.Reverse()
	bot := flowMessage(fmt.Sprintf(`{"flow":"BOT","direction":"%v","credit":%d,%s}`, x.direction, p.offer, clientWords),
		[]byte("from the client"), nil)
	bot.Level, bot.Origin, bot.Granule = 5, 42, 1700000000000000
	if err := client.put(bot); err != nil {
		t.Fatal(err)
	}
	offer := x.listener.offer(t)
	checkBot(t, "offer", offer.GetBot(), bot, fmt.Sprintf(`{"flow":"BOT","direction":"%v","credit":%d,"cid":%d,%s}`,
		back, p.offer, offer.GetCid(), clientWords))
	if via := offer.GetPeer().GetTransport(); via != x.clientVia.name() {
		t.Errorf("the offer's peer is on %q, want %q", via, x.clientVia.name())
	}

	answer := flowMessage(fmt.Sprintf(`{"flow":"BOT","cid":%d,"direction":"%v","credit":%d,%s}`,
		offer.GetCid(), back, p.answer, handlerWords), []byte("from the handler"), bytes.Repeat([]byte("x"), 300), nil)
	answer.Level, answer.Origin, answer.Granule = 6, 43, 1700000000000001
	if err := handler.put(answer); err != nil {
		t.Fatal(err)
	}
	for _, to := range []struct {
		side      *side
		name      string
		direction zio.Direction
	}{{handler, "handler", x.direction}, {client, "client", back}} {
		m := mustRecv(t, to.side, zio.BOT)
		to.side.got++
		checkBot(t, "the "+to.name+"'s BOT", botOf(m), answer,
			fmt.Sprintf(`{"flow":"BOT","direction":"%v","credit":%d,%s}`, to.direction, p.credit(), handlerWords))
	}
}

// botOf is a received BOT in the form in which offers show them.
func botOf(m *message) *gatewayv1.Bot {
	return &gatewayv1.Bot{
		Label: string(m.Label), Payload: m.Payload, Origin: m.Origin, Granule: m.Granule, Level: uint32(m.Level), Seqno: m.Seqno,
	}
}

// checkBot compares a BOT with the one that was sent; only the label differs,
// of which the value counts.
func checkBot(t *testing.T, what string, got *gatewayv1.Bot, sent *zio.Message, label string) {
	t.Helper()
	if !reflect.DeepEqual(parseLabel(t, got.GetLabel()), parseLabel(t, label)) {
		t.Errorf("%s: label is %s, want the value of %s", what, got.GetLabel(), label)
	}
	if hashOf(got.GetPayload()) != hashOf(sent.Payload) {
		t.Errorf("%s: payload is %q, want %q", what, got.GetPayload(), sent.Payload)
	}
	gotCoord := zio.Coord{Origin: got.GetOrigin(), Granule: got.GetGranule(), Seqno: got.GetSeqno()}
	wantCoord := sent.Coord // a BOT has seqno 0 on every transport
	if gotCoord != wantCoord || got.GetLevel() != uint32(sent.Level) {
		t.Errorf("%s: coord and level are %v, %d, want %v, %d", what, gotCoord, got.GetLevel(), wantCoord, sent.Level)
	}
}

// parseLabel decodes a label with its numbers as they stand.
func parseLabel(t *testing.T, label string) (object map[string]any) {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader([]byte(label)))
	decoder.UseNumber()
	if err := decoder.Decode(&object); err != nil {
		t.Fatalf("label %q: %v", label, err)
	}
	return object
}
