package main

import (
	"context"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"

	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A baseline that shared code with the gateway, a codec for instance, would not
// be one.
func TestNothingOfTheGateway(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	const ours = "github.com/zioflow/gateway/"
	for line := range strings.Lines(string(out)) {
		rest, found := strings.CutPrefix(strings.TrimSpace(line), ours)
		if found && rest != "bench/grpcrelay" && !strings.HasPrefix(rest, "gen/") {
			t.Errorf("depends on %s", rest)
		}
	}
}

func dial(t *testing.T) gatewayv1.FlowServiceClient {
	listener := bufconn.Listen(1 << 16)
	server := grpc.NewServer()
	gatewayv1.RegisterFlowServiceServer(server, &relay{waiting: map[uint64]*side{}})
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	conn, err := grpc.NewClient("passthrough:relay", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) { return listener.Dial() }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return gatewayv1.NewFlowServiceClient(conn)
}

// Streams with the same number are partners, in whatever order they come, and
// what one sends the other receives.
func TestRelay(t *testing.T) {
	client := dial(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	open := func(origin uint64, credit int64) gatewayv1.FlowService_OpenClient {
		stream, err := client.Open(ctx)
		if err != nil {
			t.Fatal(err)
		}
		bot := &gatewayv1.Bot{Origin: origin, Credit: credit}
		if err := stream.Send(&gatewayv1.OpenRequest{Message: &gatewayv1.OpenRequest_Bot{Bot: bot}}); err != nil {
			t.Fatal(err)
		}
		return stream
	}
	first, second := open(1, 10), open(2, 20)
	partnerOfSecond, partnerOfFirst := open(2, 21), open(1, 11)
	for _, pair := range []struct {
		from, to gatewayv1.FlowService_OpenClient
		credit   int64 // of the BOT that to is answered with
	}{
		{first, partnerOfFirst, 10}, {partnerOfFirst, first, 11},
		{second, partnerOfSecond, 20}, {partnerOfSecond, second, 21},
	} {
		answer, err := pair.to.Recv()
		if err != nil || answer.GetBot().GetCredit() != pair.credit {
			t.Fatalf("a BOT was answered by %v, %v; want a credit of %d", answer, err, pair.credit)
		}
		pay, dat, eot := &gatewayv1.Pay{Credit: 3}, &gatewayv1.Dat{Label: "{}", Payload: [][]byte{[]byte("data"), nil}, Seqno: 7},
			&gatewayv1.Eot{Label: "end"}
		for _, m := range []struct {
			send *gatewayv1.OpenRequest
			want *gatewayv1.OpenResponse
		}{
			{&gatewayv1.OpenRequest{Message: &gatewayv1.OpenRequest_Pay{Pay: pay}}, &gatewayv1.OpenResponse{Message: &gatewayv1.OpenResponse_Pay{Pay: pay}}},
			{&gatewayv1.OpenRequest{Message: &gatewayv1.OpenRequest_Dat{Dat: dat}}, &gatewayv1.OpenResponse{Message: &gatewayv1.OpenResponse_Dat{Dat: dat}}},
			{&gatewayv1.OpenRequest{Message: &gatewayv1.OpenRequest_Eot{Eot: eot}}, &gatewayv1.OpenResponse{Message: &gatewayv1.OpenResponse_Eot{Eot: eot}}},
		} {
			if err := pair.from.Send(m.send); err != nil {
				t.Fatal(err)
			}
			answer, err := pair.to.Recv()
			if err != nil || !proto.Equal(answer, m.want) {
				t.Errorf("%v arrived as %v, %v", m.send, answer, err)
			}
		}
	}
}
