package codec

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/zioflow/gateway/broker/zio"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// TestLimits_MSG_13: a message that would take many times its own memory is refused
// before the generated code reads it, or in the middle of being read in place.
func TestLimits_MSG_13(t *testing.T) {
	t.Parallel()
	many := &structpb.Struct{Fields: map[string]*structpb.Value{}}
	for i := range 150_000 {
		many.Fields[fmt.Sprint(i)] = structpb.NewNullValue()
	}
	for _, c := range []struct {
		name string
		bot  *gatewayv1.Bot
		want string // of the error
	}{
		{"large", &gatewayv1.Bot{Payload: [][]byte{make([]byte, 3<<20)}}, ""},
		{"most parts", &gatewayv1.Bot{Payload: make([][]byte, zio.MaxParts)}, ""},
		{"too many parts", &gatewayv1.Bot{Payload: make([][]byte, zio.MaxParts+1)}, "more than 65536 parts"},
		{"longest label", &gatewayv1.Bot{Label: strings.Repeat("x", zio.MaxLabel)}, ""},
		{"label", &gatewayv1.Bot{Label: strings.Repeat("x", 2*zio.MaxLabel)}, "label and attributes"},
		{"attributes", &gatewayv1.Bot{Attributes: many}, "label and attributes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			open := Request{Members: OpenMembers}
			read(t, &gatewayv1.OpenRequest{Message: &gatewayv1.OpenRequest_Bot{Bot: c.bot}}, &open)
			put := Request{Members: PutMembers}
			read(t, &gatewayv1.PutRequest{Message: &gatewayv1.PutRequest_Bot{Bot: c.bot}}, &put)
			get := Request{Members: GetRequestMembers}
			read(t, &gatewayv1.GetRequest{Bot: c.bot}, &get)
			for call, err := range map[string]error{"Open": open.TooLarge, "Put": put.TooLarge, "Get": get.TooLarge} {
				if c.want == "" && err != nil {
					t.Errorf("%s: %v", call, err)
				}
				if c.want != "" && (status.Code(err) != codes.ResourceExhausted || !strings.Contains(err.Error(), c.want)) {
					t.Errorf("%s: %v, want %q", call, err, c.want)
				}
			}
			if c.want != "" && open.BOT != nil {
				t.Error("the BOT was read")
			}
		})
	}
}

// TestPartsThatAreReadInPlace_MSG_13: no more than one too many is kept.
func TestPartsThatAreReadInPlace_MSG_13(t *testing.T) {
	t.Parallel()
	in := Request{Members: OpenMembers}
	read(t, &gatewayv1.OpenRequest{Message: &gatewayv1.OpenRequest_Dat{Dat: &gatewayv1.Dat{Payload: make([][]byte, 5*zio.MaxParts)}}}, &in)
	defer in.Drop()
	if n := in.Inbound.Parts(); n != zio.MaxParts+1 {
		t.Errorf("%d parts are kept", n)
	}
}

// TestLimitsOfUnsoundMessages: whatever comes, it ends.
func TestLimitsOfUnsoundMessages(t *testing.T) {
	t.Parallel()
	for _, b := range []byte{0x00, 0x0a, 0x0b, 0x0c, 0x0d, 0x12, 0x7f, 0x80, 0xff} {
		_ = checkLimits(mem.BufferSlice{mem.SliceBuffer(bytes.Repeat([]byte{b}, 2*zio.MaxParts))}, OpenMembers)
	}
}

func encoded(t *testing.T, m proto.Message) mem.BufferSlice {
	t.Helper()
	data, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return mem.BufferSlice{mem.SliceBuffer(data)}
}

func read(t *testing.T, m proto.Message, into *Request) {
	t.Helper()
	if err := New().Unmarshal(encoded(t, m), into); err != nil {
		t.Fatal(err)
	}
}
