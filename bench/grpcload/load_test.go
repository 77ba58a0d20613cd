package main

import (
	"encoding/binary"
	"io"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"

	"github.com/zioflow/gateway/bench/generator"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// What is encoded beforehand is what the generated code would send.
func TestOutgoing(t *testing.T) {
	for _, size := range []int{8, 100, 200, 20_000, 3 << 20} {
		m := newOutgoing(size)
		m.number = 77
		data, err := codec{}.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		var request gatewayv1.OpenRequest
		if err := proto.Unmarshal(data.Materialize(), &request); err != nil {
			t.Fatal(err)
		}
		payload := request.GetDat().GetPayload()
		if len(payload) != 1 || len(payload[0]) != size || binary.LittleEndian.Uint64(payload[0]) != 77 {
			t.Errorf("%d bytes: the payload is of %d parts", size, len(payload))
		}
	}
}

func dat(number uint64, size int, label string) *gatewayv1.OpenResponse {
	payload := make([]byte, size)
	binary.LittleEndian.PutUint64(payload, number)
	return &gatewayv1.OpenResponse{Message: &gatewayv1.OpenResponse_Dat{Dat: &gatewayv1.Dat{
		Label: label, Payload: [][]byte{payload}, Origin: 3, Seqno: 9,
	}}}
}

// encoded is a message in buffers of so many bytes.
func encoded(t *testing.T, m proto.Message, each int) (data mem.BufferSlice) {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	for chunk := range slices.Chunk(b, each) {
		data = append(data, mem.SliceBuffer(chunk))
	}
	return data
}

// However a message is cut into buffers, its number and size are found.
func TestIncoming(t *testing.T) {
	for _, each := range []int{1, 7, 100, 1 << 20} {
		var m incoming
		if err := (codec{}).Unmarshal(encoded(t, dat(5, 1000, `{"flow":"DAT"}`), each), &m); err != nil {
			t.Fatal(err)
		}
		if !m.dat || m.number != 5 || m.size != 1000 {
			t.Errorf("in buffers of %d: %v %d %d", each, m.dat, m.number, m.size)
		}
	}
	var m incoming
	pay := &gatewayv1.OpenResponse{Message: &gatewayv1.OpenResponse_Pay{Pay: &gatewayv1.Pay{Credit: 4}}}
	if err := (codec{}).Unmarshal(encoded(t, pay, 3), &m); err != nil || m.dat || m.other.GetPay().GetCredit() != 4 {
		t.Errorf("a PAY was read as %+v, %v", &m.other, err)
	}
	short := encoded(t, dat(5, 1000, ""), 1<<20)[0].ReadOnlyData()[:500]
	if err := (codec{}).Unmarshal(mem.BufferSlice{mem.SliceBuffer(short)}, &m); err == nil {
		t.Error("half a message was accepted")
	}
}

// stream answers what it is given, then EOF.
type stream struct {
	grpc.ClientStream
	t       *testing.T
	answers []*gatewayv1.OpenResponse
}

func (s *stream) SendMsg(any) error { return nil }
func (s *stream) CloseSend() error  { return nil }

func (s *stream) RecvMsg(m any) error {
	if len(s.answers) == 0 {
		return io.EOF
	}
	defer func() { s.answers = s.answers[1:] }()
	return codec{}.Unmarshal(encoded(s.t, s.answers[0], 1<<20), m)
}

// A taker notices what is lost, doubled, cut short or of the wrong size.
func TestTakerChecks(t *testing.T) {
	eot := &gatewayv1.OpenResponse{Message: &gatewayv1.OpenResponse_Eot{Eot: &gatewayv1.Eot{}}}
	for _, test := range []struct {
		name    string
		answers []*gatewayv1.OpenResponse
		want    string // the error
	}{
		{"all", []*gatewayv1.OpenResponse{dat(0, 8, ""), dat(1, 8, ""), eot}, ""},
		{"lost", []*gatewayv1.OpenResponse{dat(1, 8, ""), eot}, "message 1 of 8 bytes came in the place of 0"},
		{"doubled", []*gatewayv1.OpenResponse{dat(0, 8, ""), dat(0, 8, ""), eot}, "message 0 of 8 bytes came in the place of 1"},
		{"cut short", []*gatewayv1.OpenResponse{dat(0, 8, ""), eot}, "after 1 of 2 messages"},
		{"too large", []*gatewayv1.OpenResponse{dat(0, 9, ""), eot}, "message 0 of 9 bytes"},
	} {
		f := &flow{
			spec: &generator.Spec{Count: 2, Size: 8, Credit: 2}, run: &run{Meter: generator.NewMeter(2)},
			stream: &stream{t: t, answers: test.answers},
		}
		err := f.take()
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
}
