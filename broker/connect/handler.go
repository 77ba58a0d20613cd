package connect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/routing"
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/broker/zio"
	"github.com/zioflow/gateway/internal/text"
)

// linger is how long a last message may take to go out, once the flow is over.
const linger = 2 * time.Second

// handler is one connection to a handler, for one flow.
type handler struct {
	factory *Factory
	conn    Conn
	info    transport.PeerInfo
	link    *link
	peer    *broker.Peer // nil before it is asked

	asked    bool          // it was sent the BOT
	answered chan struct{} // closed when it has sent EOT
}

func newHandler(f *Factory, conn Conn, address string) *handler {
	limit := f.connector.options.Broker.Options().OutboxLimit()
	return &handler{
		factory: f, conn: conn, link: newLink(conn, limit), answered: make(chan struct{}),
		info: transport.PeerInfo{Transport: "zmq-client", Address: address, Identity: f.target.Node},
	}
}

// ask sends the handler the client's BOT, as the client's side of it has it, and accepts
// the flow on behalf of the handler if that does. The error refuses the flow.
func (h *handler) ask(ctx context.Context, r *routing.Request) error {
	offer, err := r.Offer()
	if err != nil {
		return err
	}
	r.IfLate(flow.HandlerTimeout, fmt.Sprintf("the handler at %s did not answer in time", h.info.Address))
	h.peer = h.factory.connector.options.Broker.Attach(h.link, h.info)
	h.peer.Stays()
	credit := h.credit(r, offer)
	label, err := zio.RewriteBot(offer.Bot.Label, offer.Direction.Reverse(), credit, 0)
	if err != nil {
		return err
	}
	if err := h.sendBot(ctx, offer.Bot, label); err != nil {
		return h.lost(err)
	}
	answer, err := h.conn.Receive(ctx)
	if err != nil {
		return h.lost(err)
	}
	defer answer.Release()
	if label, err = h.accepted(answer, offer, credit); err != nil {
		return err
	}
	h.peer.Receive(answer.WithLabel(label)) // delivers a BOT, or why it is refused
	if h.peer.Flow() == nil {
		return h.link.refusal()
	}
	return nil
}

// credit is the offer to the handler. Where the client leaves it to the handler that is
// all there may be: a native handler cannot be told later that it has less than it said.
func (h *handler) credit(r *routing.Request, offer routing.Offer) int64 {
	if offer.Credit > 0 {
		return offer.Credit
	}
	credit := h.factory.connector.options.Broker.Options().MaxCredit
	if own := r.Route().MaxCredit; own > 0 {
		credit = min(credit, own)
	}
	return credit
}

// sendBot sends the client's BOT with that label. The message's bytes are charged while
// they wait to be written.
func (h *handler) sendBot(ctx context.Context, bot *zio.Message, label []byte) error {
	m := &zio.Message{
		Level: bot.Level, Form: bot.Form, Label: label, Coord: bot.Coord, Payload: bot.Payload, Ends: bot.Ends,
	}
	weight := int64(m.Weight())
	h.peer.Output().Add(weight)
	defer h.peer.Output().Release(weight)
	h.asked = true
	if err := h.conn.Send(ctx, m); err != nil {
		return err
	}
	return h.conn.Flush(ctx)
}

// accepted reads what the handler says to the BOT, and returns the label by which the
// broker knows it; an error if it refuses.
func (h *handler) accepted(answer *zio.Message, offer routing.Offer, credit int64) ([]byte, error) {
	head, err := zio.Peek(answer.Label)
	if err != nil {
		return nil, h.broken(err.Error())
	}
	switch head.Type {
	case zio.BOT:
	case zio.EOT:
		h.sawEOT()
		return nil, &flow.Error{Reason: flow.Rejected, Detail: refusal(answer.Label)}
	default:
		return nil, h.broken(fmt.Sprintf("answers a BOT with a %v", head.Type))
	}
	bot, err := zio.ParseBot(answer.Label)
	if err != nil {
		return nil, h.broken(err.Error())
	}
	if bot.Credit.Form == zio.Integer && bot.Credit.Value > 0 {
		credit = min(credit, bot.Credit.Value)
	}
	return zio.RewriteBot(answer.Label, bot.Direction, credit, offer.CID)
}

// refusal is why a handler refuses a flow, by its EOT.
func refusal(label []byte) string {
	var end struct{ Error, Detail string }
	_ = json.Unmarshal(label, &end) // what cannot be read is not told
	switch {
	case end.Error != "" && end.Detail != "":
		return text.Detail(end.Error + ": " + end.Detail)
	case end.Error != "" || end.Detail != "":
		return text.Detail(end.Error + end.Detail)
	}
	return "the handler has refused it"
}

func (h *handler) broken(detail string) error {
	return &flow.Error{Reason: flow.ProtocolError, Detail: text.Detail("the handler: " + detail)}
}

// lost is what an error of the connection means while the handler is asked.
func (h *handler) lost(err error) error {
	if errors.Is(err, zio.ErrMalformed) {
		return h.broken(err.Error())
	}
	return &flow.Error{Reason: flow.PeerGone, Detail: text.Detail("the handler: " + err.Error())}
}

// abandon gives up a handler that has not become one, and tells it.
func (h *handler) abandon(why error) {
	if h.asked && !h.hasAnswered() {
		reason := flow.NotEnded
		if end, ok := errors.AsType[*flow.Error](why); ok {
			reason = end.Reason
		}
		h.sayEOT(reason, why.Error())
	}
	h.connector().flows.Go(func() { _ = h.conn.Close(linger) })
	if h.peer != nil {
		h.peer.Leave("the handler has not accepted")
		h.link.Close()
	}
}

// sawEOT takes note of the handler's EOT. It is called by who reads.
func (h *handler) sawEOT() {
	if !h.hasAnswered() {
		close(h.answered)
	}
}

func (h *handler) hasAnswered() bool {
	select {
	case <-h.answered:
		return true
	default:
		return false
	}
}

func (h *handler) connector() *Connector { return h.factory.connector }

// sayEOT has an EOT go out with the next bytes, as far as there is room for it.
func (h *handler) sayEOT(reason flow.Reason, detail string) {
	ctx, cancel := context.WithTimeout(context.Background(), linger)
	defer cancel()
	word := reason.String()
	if reason == flow.NotEnded {
		word = flow.Rejected.String()
	}
	_ = h.conn.Send(ctx, &zio.Message{
		Form: zio.FormFlow, Label: zio.ErrorLabel(word, text.Detail(detail)),
		Coord: zio.Coord{Granule: uint64(time.Now().UnixMicro()), Seqno: 1},
	})
}

// serve relays until the flow is over and the handler has said so, or is gone.
func (h *handler) serve() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var running sync.WaitGroup
	running.Go(func() {
		defer h.contain("writing")
		h.write(ctx)
		_ = h.conn.Close(linger) // which has read return
	})
	detail := h.read(ctx)
	cancel()
	running.Wait()
	h.peer.Leave(detail)
	h.link.Close()
}

// read passes on what the handler sends, and returns why nothing more comes.
func (h *handler) read(ctx context.Context) (detail string) {
	detail = "an error of the gateway"
	defer h.contain("reading")
	for {
		m, err := h.conn.Receive(ctx)
		switch {
		case errors.Is(err, zio.ErrMalformed):
			h.peer.Malformed(err)
			continue
		case err != nil:
			return h.left(err)
		}
		switch head, err := zio.Peek(m.Label); {
		case head.Type == zio.BOT:
			// Its connection is for the one flow: it is no client, whatever clients may do.
			m.Release()
			h.peer.Fail(flow.ProtocolError, "sent another BOT")
			continue
		case err == nil && head.Type == zio.EOT:
			h.sawEOT()
		}
		h.peer.Receive(m)
	}
}

// left is what the end of the connection means, which the flow is told.
func (h *handler) left(err error) string {
	if detail, was := h.link.disconnected(); was {
		return detail
	}
	if errors.Is(err, ErrTooLarge) {
		h.peer.TooLarge(err.Error())
	}
	return text.Detail("the handler: " + err.Error())
}

// write sends what is delivered, until nobody waits for the handler any more.
func (h *handler) write(ctx context.Context) {
	wanted, done := context.WithCancel(ctx)
	defer done()
	go func() { // ends with write
		h.outlive(wanted)
		done()
	}()
	var batch []transport.Delivery
	for {
		var err error
		if batch, err = h.link.Take(wanted, batch); err != nil || h.send(ctx, batch) != nil {
			return
		}
	}
}

// outlive returns when the flow is over, and the handler has said EOT or has had its time
// for that: an EOT that it has not answered may have to be repeated (BRK-17).
func (h *handler) outlive(ctx context.Context) {
	select {
	case <-h.link.over:
	case <-ctx.Done():
		return
	}
	answer := time.NewTimer(h.connector().options.Broker.Options().EOTTimeout + linger)
	defer answer.Stop()
	select {
	case <-h.answered:
	case <-answer.C:
	case <-h.connector().closing:
	case <-ctx.Done():
	}
}

// send writes deliveries, and returns when they have left.
func (h *handler) send(ctx context.Context, batch []transport.Delivery) error {
	var data transport.Count
	for i, d := range batch {
		if d.Type == zio.DAT {
			data.Messages++
			data.Bytes += uint64(d.Size)
		}
		if err := h.conn.Send(ctx, d.Message); err != nil {
			for _, left := range batch[i:] {
				left.Message.Release()
			}
			return err
		}
	}
	if err := h.conn.Flush(ctx); err != nil {
		return err
	}
	h.link.departed(data)
	return nil
}

// contain ends a handler on whose path something has panicked, and nobody else.
func (h *handler) contain(step string) {
	if problem := recover(); problem != nil {
		h.connector().lines.Log(context.Background(), slog.LevelError, "connect_panic", h.info.Who(), "a connection to a handler failed",
			"handler", h.info, "at", step, "error", fmt.Sprint(problem), "stack", string(debug.Stack()))
		go func() { _ = h.conn.Close(0) }()
	}
}
