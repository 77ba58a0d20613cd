package zioflow

import (
	"context"
	"errors"
	"io"
	"iter"

	"google.golang.org/grpc"

	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// Summary sums up a flow that has completed.
type Summary struct {
	// FlowID is the id by which operators know the flow.
	FlowID uint64
	// Bot is the taker's. Its Credit is what both sides agreed on.
	Bot Bot
	// Messages and Bytes are what the gateway passed on to the taker, and the
	// payload in it.
	Messages, Bytes uint64
	// EOTLabel is the label with which the taker answered the end.
	EOTLabel []byte
	// TakenBy is who has taken the data.
	TakenBy TakenBy
}

// PutAll opens a flow as a client, gives all of dats, and waits for the end.
// The gateway deals with credit: while there is none, PutAll does not go on
// with the sequence. The error is ErrTakerEnded, beside the Summary, if the
// taker ended the flow before it was passed everything.
//
// An error in dats aborts the flow, and is the answer. So a sequence that fails
// half-way is not taken for one that is complete, and PutAll can pass on what
// GetAll or a Taker's All answers.
func (g *Gateway) PutAll(ctx context.Context, bot Bot, dats iter.Seq2[Dat, error]) (Summary, error) {
	first, err := bot.encode(Extract)
	if err != nil {
		return Summary{}, err
	}
	ctx, cancel := g.scope(ctx)
	defer cancel(nil)
	stream, err := g.flows.Put(ctx, g.calls...)
	if err != nil {
		return Summary{}, g.endError(ctx, err, nil, 0)
	}
	sent, cut := g.sendAll(stream, first, dats)
	if cut != nil && !errors.Is(cut, errEnded) {
		return Summary{}, cut
	}
	response, err := stream.CloseAndRecv()
	if err != nil {
		return Summary{}, g.endError(ctx, err, nil, 0)
	}
	summary := decodeSummary(response)
	if cut != nil || summary.Messages < sent {
		return summary, ErrTakerEnded
	}
	return summary, nil
}

type putStream = grpc.ClientStreamingClient[gatewayv1.PutRequest, gatewayv1.PutResponse]

// sendAll answers how many of dats it has sent. The error is errEnded if the
// stream ended before.
func (g *Gateway) sendAll(stream putStream, bot *gatewayv1.Bot, dats iter.Seq2[Dat, error]) (sent uint64, err error) {
	err = g.sendPut(stream, &gatewayv1.PutRequest{Message: &gatewayv1.PutRequest_Bot{Bot: bot}})
	if err != nil {
		return 0, err
	}
	for dat, err := range dats {
		if err != nil {
			return sent, err
		}
		message, err := dat.encode()
		if err != nil {
			return sent, err
		}
		err = g.sendPut(stream, &gatewayv1.PutRequest{Message: &gatewayv1.PutRequest_Dat{Dat: message}})
		if err != nil {
			return sent, err
		}
		sent++
	}
	// Said, and not left to the end of the stream, which says as much of a caller that
	// was cut off.
	err = g.sendPut(stream, &gatewayv1.PutRequest{Message: &gatewayv1.PutRequest_Eot{Eot: &gatewayv1.Eot{}}})
	if errors.Is(err, errEnded) {
		err = nil // it has been given everything
	}
	return sent, err
}

func (g *Gateway) sendPut(stream putStream, request *gatewayv1.PutRequest) error {
	if err := g.checkSize(request); err != nil {
		return err
	}
	err := stream.Send(request)
	if errors.Is(err, io.EOF) {
		return errEnded
	}
	return err
}

func decodeSummary(r *gatewayv1.PutResponse) Summary {
	return Summary{
		FlowID: r.GetFlowId(), Bot: decodeBot(r.GetBot()),
		Messages: r.GetMessages(), Bytes: r.GetBytes(), EOTLabel: []byte(r.GetEotLabel()),
		TakenBy: decodeTakenBy(r.GetTakenBy()),
	}
}

// Dats is a sequence of messages without errors, as PutAll wants it.
func Dats(seq iter.Seq[Dat]) iter.Seq2[Dat, error] {
	return func(yield func(Dat, error) bool) {
		for dat := range seq {
			if !yield(dat, nil) {
				return
			}
		}
	}
}

// GetAll is what a flow gives that is opened anew, as a client, by each range
// over it. The gateway pays as the messages are taken. Any error comes last,
// with an empty Dat; without one the flow has completed. To break off aborts
// the flow: to end it early in good order, use Take and Close.
func (g *Gateway) GetAll(ctx context.Context, bot Bot) iter.Seq2[Dat, error] {
	return func(yield func(Dat, error) bool) {
		if err := g.getAll(ctx, bot, yield); err != nil {
			yield(Dat{}, err)
		}
	}
}

// getAll answers nil also when yield has had enough.
func (g *Gateway) getAll(ctx context.Context, bot Bot, yield func(Dat, error) bool) error {
	message, err := bot.encode(Inject)
	if err != nil {
		return err
	}
	ctx, cancel := g.scope(ctx)
	defer cancel(nil)
	stream, err := g.flows.Get(ctx, &gatewayv1.GetRequest{Bot: message}, g.calls...)
	if err != nil {
		return g.endError(ctx, err, nil, 0)
	}
	var (
		id  uint64
		eot *gatewayv1.Eot
	)
	for {
		response, err := stream.Recv()
		switch {
		case err != nil:
			return g.endError(ctx, err, eot, id)
		case response.GetBot() != nil:
			id = response.GetBot().GetFlowId()
		case response.GetEot() != nil:
			eot = response.GetEot()
		case response.GetDat() != nil:
			if !yield(decodeDat(response.GetDat()), nil) {
				return nil
			}
		}
	}
}
