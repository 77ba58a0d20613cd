package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"

	"github.com/zioflow/gateway/bench/generator"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// flow is one side of a flow after the other. Its goroutine uses it alone.
type flow struct {
	spec   *generator.Spec
	run    *run
	pair   uint64
	conn   *grpc.ClientConn
	cids   chan uint64 // to a handler, one for each round
	stream grpc.ClientStream
	got    incoming
	// samples of latency, from PAY to DAT or from BOT to EOT
	samples []time.Duration
}

// play plays all the rounds.
func (f *flow) play(ctx context.Context) error {
	for round := range f.spec.Rounds {
		since := time.Now()
		if err := f.open(ctx); err != nil {
			return fmt.Errorf("open: %w", err)
		}
		if round == 0 {
			f.run.begun()
		}
		play := f.take
		if f.spec.Gives {
			<-f.run.gone
			play = f.give
		}
		if err := play(); err != nil {
			return err
		}
		if f.spec.Count == 0 && round > 0 { // the first one has waited for the go
			f.samples = append(f.samples, time.Since(since))
		}
	}
	return nil
}

func (f *flow) open(ctx context.Context) (err error) {
	bot := &gatewayv1.Bot{Origin: f.pair, Credit: f.spec.Credit, Direction: gatewayv1.Direction_DIRECTION_INJECT}
	if f.spec.Gives {
		bot.Direction = gatewayv1.Direction_DIRECTION_EXTRACT
		if f.spec.Gateway {
			bot.Cid = <-f.cids
		}
	}
	f.stream, err = f.conn.NewStream(ctx, &gatewayv1.FlowService_ServiceDesc.Streams[0], gatewayv1.FlowService_Open_FullMethodName)
	if err != nil {
		return err
	}
	if err := f.stream.SendMsg(&gatewayv1.OpenRequest{Message: &gatewayv1.OpenRequest_Bot{Bot: bot}}); err != nil {
		return f.cause(err)
	}
	if err := f.stream.RecvMsg(&f.got); err != nil {
		return err
	}
	if f.got.dat || f.got.other.GetBot() == nil {
		return fmt.Errorf("answer to BOT is %v", &f.got.other)
	}
	return nil
}

func (f *flow) give() error {
	dat := newOutgoing(f.spec.Size)
	for held := int64(0); dat.number < uint64(f.spec.Count); held-- {
		for held == 0 {
			if err := f.stream.RecvMsg(&f.got); err != nil {
				return err
			}
			pay := f.got.other.GetPay()
			if f.got.dat || pay == nil {
				return fmt.Errorf("giver was sent %v", &f.got.other)
			}
			held += pay.GetCredit()
		}
		if err := f.stream.SendMsg(dat); err != nil {
			return f.cause(err)
		}
		dat.number++
	}
	if err := f.eot(); err != nil {
		return err
	}
	return f.finish()
}

func (f *flow) take() error {
	var next uint64
	var paid time.Time
	for owed := f.spec.Credit; ; {
		if f.spec.Count > 0 && 4*owed >= f.spec.Credit {
			pay := &gatewayv1.Pay{Credit: owed}
			owed, paid = 0, time.Now()
			if err := f.stream.SendMsg(&gatewayv1.OpenRequest{Message: &gatewayv1.OpenRequest_Pay{Pay: pay}}); err != nil {
				return f.cause(err)
			}
		}
		if err := f.stream.RecvMsg(&f.got); err != nil {
			return err
		}
		if !f.got.dat {
			break
		}
		if f.spec.Credit == 1 && next > 0 {
			f.samples = append(f.samples, time.Since(paid))
		}
		if f.got.number != next || f.got.size != f.spec.Size {
			return fmt.Errorf("message %d of %d bytes came in the place of %d", f.got.number, f.got.size, next)
		}
		next++
		owed++
		f.run.Tally()
	}
	if f.got.other.GetEot() == nil || next != uint64(f.spec.Count) {
		return fmt.Errorf("after %d of %d messages came %v", next, f.spec.Count, &f.got.other)
	}
	if err := f.eot(); err != nil {
		return err
	}
	return f.finish()
}

// eot says that nothing follows.
func (f *flow) eot() error {
	eot := &gatewayv1.OpenRequest{Message: &gatewayv1.OpenRequest_Eot{Eot: &gatewayv1.Eot{}}}
	if err := f.stream.SendMsg(eot); err != nil {
		return f.cause(err)
	}
	if f.spec.Gives { // a taker's is the answer
		for {
			if err := f.stream.RecvMsg(&f.got); err != nil {
				return err
			}
			if f.got.other.GetEot() != nil {
				break
			}
		}
	}
	return f.stream.CloseSend()
}

// finish waits for the stream's status.
func (f *flow) finish() error {
	for {
		if err := f.stream.RecvMsg(&f.got); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// cause is why a stream could not be sent to.
func (f *flow) cause(err error) error {
	for errors.Is(err, io.EOF) {
		err = f.stream.RecvMsg(&f.got)
		if err == nil {
			err = io.EOF
		}
	}
	return err
}
