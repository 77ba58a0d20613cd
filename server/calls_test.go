package server_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"

	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

func attributes(t *testing.T, text string) *structpb.Struct {
	t.Helper()
	var s structpb.Struct
	if err := s.UnmarshalJSON([]byte(text)); err != nil {
		t.Fatal(err)
	}
	return &s
}

func TestPutCounts(t *testing.T) {
	f := start(t, nil)
	for n, count := range []int{0, 1, 50, 0, 1, 50} {
		stream, err := f.flows.Put(f.ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.Send(&gatewayv1.PutRequest{Message: &gatewayv1.PutRequest_Bot{Bot: &gatewayv1.Bot{Credit: 2}}}); err != nil {
			t.Fatal(err)
		}
		for range count {
			dat := &gatewayv1.Dat{Payload: [][]byte{[]byte("ab"), []byte("c")}}
			if err := stream.Send(&gatewayv1.PutRequest{Message: &gatewayv1.PutRequest_Dat{Dat: dat}}); err != nil {
				t.Fatal(err)
			}
		}
		if n >= 3 { // says EOT, and does not only imply it
			if err := stream.Send(&gatewayv1.PutRequest{Message: &gatewayv1.PutRequest_Eot{Eot: &gatewayv1.Eot{}}}); err != nil {
				t.Fatal(err)
			}
		}
		response, err := stream.CloseAndRecv()
		if err != nil {
			t.Fatal(err)
		}
		if response.GetMessages() != uint64(count) || response.GetBytes() != uint64(3*count) || response.GetFlowId() == 0 ||
			response.GetReason() != gatewayv1.EndReason_END_REASON_COMPLETED || response.GetBot().GetCredit() != 2 {
			t.Errorf("%d put: %v", count, response)
		}
	}
}

func TestPutRefusals(t *testing.T) {
	f := start(t, nil)
	dat := &gatewayv1.PutRequest{Message: &gatewayv1.PutRequest_Dat{Dat: &gatewayv1.Dat{}}}
	bot := &gatewayv1.PutRequest{Message: &gatewayv1.PutRequest_Bot{Bot: &gatewayv1.Bot{Credit: 2}}}
	inject := &gatewayv1.PutRequest{Message: &gatewayv1.PutRequest_Bot{Bot: &gatewayv1.Bot{
		Direction: gatewayv1.Direction_DIRECTION_INJECT,
	}}}
	for name, requests := range map[string][]*gatewayv1.PutRequest{
		"nothing":             nil,
		"no BOT":              {dat},
		"two BOTs":            {bot, bot},
		"the wrong direction": {inject},
	} {
		stream, err := f.flows.Put(f.ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range requests {
			if err := stream.Send(r); err != nil && !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
		}
		if _, err := stream.CloseAndRecv(); status.Code(err) != codes.InvalidArgument {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestGet(t *testing.T) {
	for _, credit := range []int64{0, 1, 2, 10, 1000, 100_000} {
		f := start(t, nil)
		stream, err := f.flows.Get(f.ctx, &gatewayv1.GetRequest{Bot: &gatewayv1.Bot{
			Credit: credit, Attributes: attributes(t, `{"count":100,"size":3}`),
		}})
		if err != nil {
			t.Fatal(err)
		}
		first, err := stream.Recv()
		if err != nil || first.GetBot() == nil {
			t.Fatalf("first %v, %v", first, err)
		}
		var n byte
		for {
			response, err := stream.Recv()
			if err != nil {
				t.Fatal(err)
			}
			if eot := response.GetEot(); eot != nil {
				if eot.GetReason() != gatewayv1.EndReason_END_REASON_COMPLETED {
					t.Errorf("credit %d: EOT %v", credit, eot)
				}
				break
			}
			if got := response.GetDat().GetPayload()[0]; string(got) != string([]byte{n, n + 1, n + 2}) {
				t.Errorf("credit %d: DAT %d is %v", credit, n, got)
			}
			n++
		}
		if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
			t.Errorf("credit %d: after the EOT %v", credit, err)
		}
		if n != 100 {
			t.Errorf("credit %d: %d DATs", credit, n)
		}
	}
}

func TestGetEndsWithTheReason(t *testing.T) {
	f := start(t, nil)
	stream, err := f.flows.Get(f.ctx, &gatewayv1.GetRequest{Bot: &gatewayv1.Bot{Attributes: attributes(t, `{"size":-4}`)}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = stream.Recv()
	if status.Code(err) != codes.FailedPrecondition || !strings.Contains(err.Error(), "attribute size is -4") {
		t.Errorf("status %v", err)
	}
}

func TestListenRefusals(t *testing.T) {
	f := start(t, nil)
	for want, request := range map[string]*gatewayv1.ListenRequest{
		"name: must be at least 1":       {},
		"name: must be at most 128":      {Name: strings.Repeat("n", 129)},
		"name: must be at most 128 char": {Name: strings.Repeat("n", 60_000)},
		"match: must be at most 4096":    {Name: "l", Match: strings.Repeat("(", 4097)},
		"match: match expression":        {Name: "l", Match: "attributes.x =="},
		"1:16: Syntax error":             {Name: "l", Match: "attributes.x =="},
		"…":                              {Name: "l", Match: strings.Repeat("attributes.x == )\n", 200)},
	} {
		stream, err := f.handlers.Listen(f.ctx, request)
		if err != nil {
			t.Fatal(err)
		}
		_, err = stream.Recv()
		if status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	if n := len(f.broker.Listeners()); n != 0 {
		t.Errorf("%d listeners are registered", n)
	}
}

// TestDeclineWithManyWords: the client is told as much as it can take; more than
// that costs the handler its call, and the offer stays.
func TestDeclineWithManyWords(t *testing.T) {
	f := start(t, nil)
	listening, err := f.handlers.Listen(f.ctx, &gatewayv1.ListenRequest{Name: "l"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := listening.Recv(); err != nil {
		t.Fatal(err)
	}
	for _, unit := range []string{"x", "ä", `\`, "\x00", "%"} {
		stream := f.open(t, taking(1))
		event, err := listening.Recv()
		for err == nil && event.GetOffer() == nil { // the one before was withdrawn
			event, err = listening.Recv()
		}
		if err != nil {
			t.Fatal(err)
		}
		decline := func(detail string) error {
			_, err := f.handlers.Decline(f.ctx, &gatewayv1.DeclineRequest{Cid: event.GetOffer().GetCid(), Detail: detail})
			return err
		}
		if err := decline(strings.Repeat(unit, 65537)); status.Code(err) != codes.InvalidArgument && status.Code(err) != codes.ResourceExhausted {
			t.Errorf("too many words: %v", err)
		}
		if err := decline(strings.Repeat(unit, 65536/len(unit))); err != nil {
			t.Errorf("many words: %v", err)
		}
		_, err = stream.Recv()
		if s := status.Convert(err); s.Code() != codes.FailedPrecondition || !strings.HasPrefix(s.Message(), "rejected: "+unit+unit) || len(s.Details()) == 0 {
			t.Errorf("%q: the status is %v with %v", unit, s.Code(), s.Details())
		} else if whole := s.Details()[0].(*errdetails.ErrorInfo).GetMetadata()["detail"]; len(whole) < 1020 || len(whole) > 1024 ||
			!strings.HasPrefix(whole, unit+unit) || !strings.HasSuffix(whole, "…") {
			t.Errorf("%q: the detail has %d bytes", unit, len(whole))
		}
	}
}

func TestHandlerOverStreams(t *testing.T) {
	f := start(t, nil)
	listening, err := f.handlers.Listen(f.ctx, &gatewayv1.ListenRequest{Name: "l", Match: "attributes.mine"})
	if err != nil {
		t.Fatal(err)
	}
	if first, err := listening.Recv(); err != nil || first.GetListening().GetListenerId() == 0 {
		t.Fatalf("first %v, %v", first, err)
	}
	const label = `{"n":18446744073709551615,"ort":"Gen\u00e8ve-雪","mine":true}`
	client := f.open(t, bot(&gatewayv1.Bot{
		Label: label, Direction: gatewayv1.Direction_DIRECTION_EXTRACT, Credit: 4, Payload: [][]byte{[]byte("header")},
	}))
	event, err := listening.Recv()
	if err != nil {
		t.Fatal(err)
	}
	offer := event.GetOffer()
	if offer.GetBot().GetDirection() != gatewayv1.Direction_DIRECTION_INJECT || offer.GetBot().GetCredit() != 4 ||
		offer.GetBot().GetCid() != offer.GetCid() || string(offer.GetBot().GetPayload()[0]) != "header" ||
		!strings.Contains(offer.GetBot().GetLabel(), `"n":18446744073709551615,"ort":"Gen\u00e8ve-雪"`) ||
		offer.GetPeer().GetTransport() != "grpc" || offer.GetDeadline() == nil {
		t.Errorf("offer %v", offer)
	}
	handler := f.open(t, bot(&gatewayv1.Bot{Label: offer.GetBot().GetLabel(), Credit: 2}))
	reply, err := client.Recv()
	if err != nil || reply.GetBot().GetCredit() != 2 || reply.GetBot().GetCid() != 0 || reply.GetBot().GetFlowId() == 0 {
		t.Fatalf("client's BOT %v, %v", reply, err)
	}
	send(t, handler, pay(2))
	if paid, err := client.Recv(); err != nil || paid.GetPay().GetCredit() != 2 {
		t.Fatalf("client's PAY %v, %v", paid, err)
	}
	send(t, client, dat(&gatewayv1.Dat{Label: `{"x":1}`, Origin: 7, Granule: 8}))
	if err := client.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if first, err := handler.Recv(); err != nil || first.GetBot() == nil {
		t.Fatalf("handler's BOT %v, %v", first, err)
	}
	got, err := handler.Recv()
	if d := got.GetDat(); err != nil || d.GetLabel() != `{"flow":"DAT","x":1}` || d.GetOrigin() != 7 || d.GetGranule() != 8 || d.GetSeqno() != 1 {
		t.Errorf("DAT %v, %v", got, err)
	}
	send(t, handler, eot())
	if got := transcript(handler); got != "EOT" {
		t.Errorf("handler: %s", got)
	}
	if got := transcript(client); got != "EOT" {
		t.Errorf("client: %s", got)
	}
}

func TestDecline(t *testing.T) {
	f := start(t, nil)
	listening, err := f.handlers.Listen(f.ctx, &gatewayv1.ListenRequest{Name: "l"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := listening.Recv(); err != nil {
		t.Fatal(err)
	}
	client := f.open(t, giving(1))
	event, err := listening.Recv()
	if err != nil {
		t.Fatal(err)
	}
	request := &gatewayv1.DeclineRequest{Cid: event.GetOffer().GetCid(), Detail: "no disk space"}
	if _, err := f.handlers.Decline(f.ctx, request); err != nil {
		t.Error(err)
	}
	if _, err := client.Recv(); status.Code(err) != codes.FailedPrecondition || !strings.Contains(err.Error(), "no disk space") {
		t.Errorf("client's status %v", err)
	}
	if _, err := f.handlers.Decline(f.ctx, request); status.Code(err) != codes.NotFound {
		t.Errorf("declined again: %v", err)
	}
}
