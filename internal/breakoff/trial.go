package breakoff

import (
	"context"
	"errors"
	"fmt"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// Dispatcher is the other side of the peers' flows, at a gateway.
type Dispatcher struct {
	flows  gatewayv1.FlowServiceClient
	admin  gatewayv1.AdminServiceClient
	listen gatewayv1.HandlerService_ListenClient
	name   string
}

// NewDispatcher registers a listener for flows that are for that name, as long as ctx lasts.
func NewDispatcher(ctx context.Context, conn *grpc.ClientConn, name string) (*Dispatcher, error) {
	d := &Dispatcher{flows: gatewayv1.NewFlowServiceClient(conn), admin: gatewayv1.NewAdminServiceClient(conn), name: name}
	var err error
	d.listen, err = gatewayv1.NewHandlerServiceClient(conn).Listen(ctx, &gatewayv1.ListenRequest{
		Name: name, Match: fmt.Sprintf("attributes['for'] == %q", name),
	})
	if err == nil {
		_, err = d.listen.Recv()
	}
	return d, err
}

// Outcome is what became of a flow of which a peer has broken off.
type Outcome struct {
	// Taken is how many DATs came to the side that stayed, Status what its call ended
	// with; nil for OK.
	Taken  int
	Status *status.Status
	// Reason is why the flow ended, for the gateway.
	Reason gatewayv1.EndReason
}

// Try has a peer do a job and break off, and does what an honest other side does. An
// error says that the trial was none.
func (d *Dispatcher) Try(ctx context.Context, peer Peer, job Job) (Outcome, error) {
	job.Attributes = map[string]any{"for": d.name}
	stream, err := d.flows.Open(ctx)
	if err != nil {
		return Outcome{}, err
	}
	s := &stay{stream: stream, peer: peer, job: job, began: make(chan error, 1), over: make(chan error, 1)}
	bot := &gatewayv1.Bot{Direction: gatewayv1.Direction_DIRECTION_INJECT, Credit: int64(job.Credit)}
	if job.Call == "take" {
		bot.Direction = gatewayv1.Direction_DIRECTION_EXTRACT
	}
	if job.Call == "handle" {
		bot.Label = fmt.Sprintf(`{"for":%q}`, d.name)
		err = stream.Send(sayBot(bot))
		s.job.CID, err = d.offered(err)
		go func() { s.began <- peer.Begin(ctx, s.job) }()
	} else {
		go func() { s.began <- peer.Begin(ctx, s.job) }()
		if bot.Cid, err = d.offered(nil); err == nil {
			err = stream.Send(sayBot(bot))
		}
	}
	if err == nil {
		err = s.on()
	}
	if err != nil {
		return s.outcome, errors.Join(err, s.end())
	}
	flow, err := d.admin.GetFlow(ctx, &gatewayv1.GetFlowRequest{Id: s.flow})
	s.outcome.Reason = flow.GetFlow().GetReason()
	return s.outcome, err
}

// offered is the cid of the next offer, unless there was an error before.
func (d *Dispatcher) offered(err error) (uint64, error) {
	if err != nil {
		return 0, err
	}
	event, err := d.listen.Recv()
	return event.GetOffer().GetCid(), err
}

// stay is the honest side of a flow.
type stay struct {
	stream  gatewayv1.FlowService_OpenClient
	peer    Peer
	job     Job
	began   chan error // takes what Begin returns
	broken  bool       // the peer has been told to break off
	over    chan error // takes what BreakOff returns
	flow    uint64
	outcome Outcome
}

// on goes on until the call ends.
func (s *stay) on() error {
	for {
		m, err := s.stream.Recv()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				s.outcome.Status = status.Convert(err)
			}
			return s.end()
		}
		if err := s.take(m); err != nil {
			return err
		}
	}
}

func (s *stay) take(m *gatewayv1.OpenResponse) (err error) {
	switch {
	case m.GetBot() != nil:
		s.flow = m.GetBot().GetFlowId()
		if s.job.Call != "take" {
			err = s.stream.Send(sayPay(s.job.Credit))
		}
	case m.GetPay() != nil:
		for range s.job.Dats {
			err = errors.Join(err, s.stream.Send(sayDat(&gatewayv1.Dat{Payload: [][]byte{make([]byte, s.job.Size)}})))
		}
		if s.job.End == "finish" {
			err = errors.Join(err, s.stream.Send(sayEOT()))
		}
		s.breakOff()
	case m.GetDat() != nil:
		if s.outcome.Taken++; s.outcome.Taken == s.job.Dats {
			s.breakOff()
		}
	case m.GetEot() != nil:
		_ = s.stream.Send(sayEOT()) // the flow may be over
	}
	return err
}

// breakOff has the peer do so, once, while this side goes on.
func (s *stay) breakOff() {
	if s.broken {
		return
	}
	s.broken = true
	go func() {
		err := <-s.began
		if err == nil {
			err = s.peer.BreakOff()
		}
		s.over <- err
	}()
}

// end waits for the peer, which may have had a deadline that was sooner.
func (s *stay) end() error {
	s.breakOff()
	return <-s.over
}
