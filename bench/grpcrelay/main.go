// Command grpcrelay is the baseline of gRPC peers: a plain grpc-go server with
// the generated code that hands what comes on one stream to another, and knows
// nothing of flows: no credit, no labels, no broker.
//
// It prints its address and serves until it is killed. The first message of a
// stream is a BOT; streams whose BOTs have the same origin are partners, and
// each is answered with the other's.
package main

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"sync"

	"google.golang.org/grpc"

	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// maxMessage is larger than any message of a benchmark; everything else is as
// grpc-go has it by default.
const maxMessage = 64<<20 + 64<<10

type relay struct {
	gatewayv1.UnimplementedFlowServiceServer

	mu      sync.Mutex
	waiting map[uint64]*side // guarded by mu; by origin
}

// side is a stream of which the BOT has come.
type side struct {
	stream gatewayv1.FlowService_OpenServer
	bot    *gatewayv1.Bot
	joined chan *side // takes the partner
}

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer(grpc.MaxRecvMsgSize(maxMessage), grpc.MaxSendMsgSize(maxMessage))
	gatewayv1.RegisterFlowServiceServer(server, &relay{waiting: map[uint64]*side{}})
	fmt.Println(listener.Addr())
	log.Fatal(server.Serve(listener))
}

// Open hands on what comes, until the stream ends.
func (r *relay) Open(stream gatewayv1.FlowService_OpenServer) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	bot := first.GetBot()
	if bot == nil {
		return errors.New("the first message is no BOT")
	}
	partner, err := r.join(&side{stream: stream, bot: bot, joined: make(chan *side, 1)})
	if err != nil {
		return err
	}
	answer := &gatewayv1.OpenResponse{Message: &gatewayv1.OpenResponse_Bot{Bot: bot}}
	for err == nil {
		// Nobody else sends on the partner's stream.
		if err = partner.stream.Send(answer); err != nil {
			break
		}
		var request *gatewayv1.OpenRequest
		if request, err = stream.Recv(); err == nil {
			answer = respond(request)
		}
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// join answers the partner, for which it waits.
func (r *relay) join(s *side) (*side, error) {
	r.mu.Lock()
	other := r.waiting[s.bot.GetOrigin()]
	if other == nil {
		r.waiting[s.bot.GetOrigin()] = s
	} else {
		delete(r.waiting, s.bot.GetOrigin())
	}
	r.mu.Unlock()
	if other != nil {
		other.joined <- s
		return other, nil
	}
	select {
	case other = <-s.joined:
		return other, nil
	case <-s.stream.Context().Done():
		return nil, s.stream.Context().Err()
	}
}

func respond(request *gatewayv1.OpenRequest) *gatewayv1.OpenResponse {
	switch m := request.GetMessage().(type) {
	case *gatewayv1.OpenRequest_Bot:
		return &gatewayv1.OpenResponse{Message: &gatewayv1.OpenResponse_Bot{Bot: m.Bot}}
	case *gatewayv1.OpenRequest_Pay:
		return &gatewayv1.OpenResponse{Message: &gatewayv1.OpenResponse_Pay{Pay: m.Pay}}
	case *gatewayv1.OpenRequest_Dat:
		return &gatewayv1.OpenResponse{Message: &gatewayv1.OpenResponse_Dat{Dat: m.Dat}}
	default:
		return &gatewayv1.OpenResponse{Message: &gatewayv1.OpenResponse_Eot{Eot: request.GetEot()}}
	}
}
