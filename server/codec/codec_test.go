package codec

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/broker/zio"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/server/contract"
)

// countingPool counts the buffers that are out.
type countingPool struct {
	FramePool
	out Counter
}

func (p *countingPool) Get(n int) *[]byte {
	p.out.Messages.Add(1)
	return p.FramePool.Get(n)
}

func (p *countingPool) Put(b *[]byte) {
	p.out.Messages.Add(-1)
	p.FramePool.Put(b)
}

// leastTail is the capacity from which on gRPC returns a buffer to its pool.
var leastTail = func() int {
	n := 1
	for mem.IsBelowBufferPoolingThreshold(n) {
		n++
	}
	return n
}()

// cut lays data in buffers as gRPC could have: cuts are their lengths in turn, and
// an odd one is a buffer of the pool.
func cut(data, cuts []byte, pool mem.BufferPool) mem.BufferSlice {
	var list mem.BufferSlice
	for i := 0; len(data) > 0; i++ {
		n, pooled := len(data), i%2 == 1
		if i < len(cuts) {
			n, pooled = min(n, int(cuts[i])*16+1), cuts[i]%2 == 1
		}
		if pooled {
			b := pool.Get(leastTail + n)
			*b = append((*b)[:0], data[:n]...)
			list = append(list, mem.NewBuffer(b, pool))
		} else {
			list = append(list, mem.SliceBuffer(bytes.Clone(data[:n])))
		}
		data = data[n:]
	}
	return list
}

// heard is a message as the exchange sees it.
func heard(r *Request) string {
	if r.Inbound == nil {
		return fmt.Sprintf("%v %v", r.Type, r.BOT)
	}
	a := r.Inbound
	text := fmt.Sprintf("%v level %d credit %d label %q %d %d", r.Type, a.level, a.Credit, a.Label, a.Origin, a.Granule)
	for i := range a.Parts() {
		text += fmt.Sprintf(" %q", a.Part(i).AppendTo(nil))
	}
	return text
}

// said is what a generated message says, in the same words.
func said(m proto.Message) string {
	var r Request
	switch m := m.(type) {
	case *gatewayv1.OpenRequest:
		r.set(m.GetBot(), m.GetPay(), m.GetDat(), m.GetEot())
	case *gatewayv1.PutRequest:
		r.set(m.GetBot(), nil, m.GetDat(), m.GetEot())
	}
	return heard(&r)
}

func generatedRequest(members *Members) proto.Message {
	if members == PutMembers {
		return new(gatewayv1.PutRequest)
	}
	return new(gatewayv1.OpenRequest)
}

// checkRequest reads data with the codec and with the generated code.
func checkRequest(t *testing.T, data, cuts []byte, members *Members) (fast bool) {
	t.Helper()
	pool := new(countingPool)
	want := generatedRequest(members)
	wantErr := proto.Unmarshal(data, want)
	r := Request{Members: members}
	buffers := cut(data, cuts, pool)
	err := New().Unmarshal(buffers, &r)
	buffers.Free()
	if (err == nil) != (wantErr == nil) {
		t.Fatalf("error is %v, want %v", err, wantErr)
	}
	if err == nil {
		if got, want := heard(&r), said(want); got != want {
			t.Fatalf("read %s\nwant %s", got, want)
		}
		fast = r.Inbound != nil && r.Inbound.buffers != nil
	} else if r.Inbound != nil {
		t.Fatal("an error came with a message")
	}
	r.Drop()
	if n := pool.out.Messages.Load(); n != 0 {
		t.Fatalf("%d buffers were not returned", n)
	}
	return fast
}

func openRequests() []*gatewayv1.OpenRequest {
	attributes, err := structpb.NewStruct(map[string]any{"a": 1, "b": "x"})
	if err != nil {
		panic(err)
	}
	large := bytes.Repeat([]byte("0123456789abcdef"), 300)
	return []*gatewayv1.OpenRequest{
		{},
		{Message: &gatewayv1.OpenRequest_Bot{Bot: &gatewayv1.Bot{Label: "{}", Credit: 3, Cid: 9, Attributes: attributes, Payload: [][]byte{large}}}},
		{Message: &gatewayv1.OpenRequest_Pay{Pay: &gatewayv1.Pay{Credit: 5}}},
		{Message: &gatewayv1.OpenRequest_Pay{Pay: &gatewayv1.Pay{Credit: -5, Label: `{"flow":"PAY"}`, Payload: [][]byte{{1}}}}},
		{Message: &gatewayv1.OpenRequest_Dat{Dat: &gatewayv1.Dat{}}},
		{Message: &gatewayv1.OpenRequest_Dat{Dat: &gatewayv1.Dat{Payload: [][]byte{large, {}, []byte("x"), large}}}},
		{Message: &gatewayv1.OpenRequest_Dat{Dat: &gatewayv1.Dat{
			Label: `{"flow":"DAT"}`, Payload: [][]byte{{}}, Origin: math.MaxUint64, Granule: 1 << 50, Seqno: 300, Level: math.MaxUint32,
		}}},
		{Message: &gatewayv1.OpenRequest_Eot{Eot: &gatewayv1.Eot{Payload: [][]byte{[]byte("bye")}}}},
		{Message: &gatewayv1.OpenRequest_Eot{Eot: &gatewayv1.Eot{Reason: 3, Detail: "why"}}},
	}
}

// rawRequests are encodings that no encoder makes but that mean something.
func rawRequests() map[string]string {
	return map[string]string{
		"a member twice is merged":        "\x1a\x06\x0a\x01{\x12\x01a" + "\x1a\x06\x0a\x01}\x12\x01b",
		"the last member wins":            "\x1a\x03\x12\x01a" + "\x12\x02\x40\x05",
		"a scalar twice: the last":        "\x1a\x04\x18\x01\x18\x02",
		"a label twice: the last":         "\x1a\x06\x0a\x01a\x0a\x01b",
		"an unknown field inside":         "\x1a\x05\x12\x01a\x50\x01",
		"an unknown field outside":        "\x50\x01\x1a\x03\x12\x01a",
		"an unknown group inside":         "\x1a\x05\x7b\x50\x01\x7c\x00",
		"a varint longer than need be":    "\x1a\x84\x00\x12\x02ab",
		"a tag longer than need be":       "\x9a\x00\x04\x12\x02ab",
		"a varint of eleven bytes":        "\x1a\x0c\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
		"a varint beyond 64 bits":         "\x1a\x0b\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02",
		"a level beyond 32 bits":          "\x1a\x07\x30\x80\x80\x80\x80\x20\x00",
		"a payload of the wrong type":     "\x1a\x02\x10\x01",
		"an origin of the wrong type":     "\x1a\x03\x1a\x01a",
		"a label that is not UTF-8":       "\x1a\x04\x0a\x02\xc3\x28",
		"not UTF-8, then a good label":    "\x1a\x08\x0a\x02\xc3\x28\x0a\x02{}",
		"a detail that is not UTF-8":      "\x22\x04\x42\x02\xc3\x28",
		"a part that is cut off":          "\x1a\x04\x12\x05ab",
		"a part that ends the message":    "\x1a\x03\x12\x02a",
		"a member that is cut off":        "\x1a\x09\x12\x02ab",
		"a field number of 0":             "\x1a\x02\x00\x01",
		"a field number that is reserved": "\x1a\x01\x07",
		"bytes after the member":          "\x1a\x02\x12\x00\x12",
		"a pay with a dat's credit":       "\x1a\x02\x40\x05",
	}
}

func TestRequestsMeanWhatTheGeneratedCodeSays(t *testing.T) {
	t.Parallel()
	cuts := map[string][]byte{"whole": nil, "byte by byte": bytes.Repeat([]byte{0}, 100), "pooled": {1, 3, 5, 7, 9, 251, 253}}
	for name, cut := range cuts {
		for i, m := range openRequests() {
			data, err := proto.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			t.Run(fmt.Sprintf("%s/%d", name, i), func(t *testing.T) { checkRequest(t, data, cut, OpenMembers) })
		}
		for what, data := range rawRequests() {
			t.Run(name+"/"+what, func(t *testing.T) {
				checkRequest(t, []byte(data), cut, OpenMembers)
				checkRequest(t, []byte(data), cut, PutMembers)
			})
		}
	}
}

// TestPlainRequestsAreReadInPlace sees that the tests above do not compare the
// generated code with itself.
func TestPlainRequestsAreReadInPlace(t *testing.T) {
	t.Parallel()
	for _, m := range openRequests() {
		data, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		plain := m.GetPay() != nil || m.GetDat() != nil || m.GetEot() != nil && m.GetEot().GetDetail() == ""
		if got := checkRequest(t, data, nil, OpenMembers); got != plain {
			t.Errorf("%v: read in place is %v, want %v", m, got, plain)
		}
	}
}

func FuzzRequest(f *testing.F) {
	for _, m := range openRequests() {
		data, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, []byte{3, 200, 0, 1}, false)
	}
	for _, data := range rawRequests() {
		f.Add([]byte(data), []byte{0, 0, 1}, true)
	}
	f.Fuzz(func(t *testing.T, data, cuts []byte, put bool) {
		members := OpenMembers
		if put {
			members = PutMembers
		}
		checkRequest(t, data, cuts, members)
	})
}

// countingCarrier counts how often its message was released.
type countingCarrier struct{ released int }

func (c *countingCarrier) Release() { c.released++ }
func (c *countingCarrier) Hold()    { c.released-- }

// generatedResponse is a delivery as the generated code would send it.
func generatedResponse(d transport.Delivery, members *Members) proto.Message {
	m := d.Message
	var payload [][]byte
	for i := range m.Parts() {
		payload = append(payload, m.Part(i).AppendTo([]byte{}))
	}
	dat := &gatewayv1.Dat{
		Label: string(m.Label), Payload: payload, Origin: m.Origin, Granule: m.Granule, Seqno: m.Seqno, Level: uint32(m.Level),
	}
	pay := &gatewayv1.Pay{
		Label: dat.Label, Payload: payload, Origin: m.Origin, Granule: m.Granule, Seqno: m.Seqno, Level: dat.Level, Credit: d.Credit,
	}
	eot := &gatewayv1.Eot{
		Label: dat.Label, Payload: payload, Origin: m.Origin, Granule: m.Granule, Seqno: m.Seqno, Level: dat.Level,
		Reason: contract.ReasonOf(d.Reason), Detail: strings.ToValidUTF8(d.Detail, "\uFFFD"),
	}
	switch {
	case members == GetMembers && d.Type == zio.DAT:
		return &gatewayv1.GetResponse{Message: &gatewayv1.GetResponse_Dat{Dat: dat}}
	case members == GetMembers:
		return &gatewayv1.GetResponse{Message: &gatewayv1.GetResponse_Eot{Eot: eot}}
	case d.Type == zio.PAY:
		return &gatewayv1.OpenResponse{Message: &gatewayv1.OpenResponse_Pay{Pay: pay}}
	case d.Type == zio.DAT:
		return &gatewayv1.OpenResponse{Message: &gatewayv1.OpenResponse_Dat{Dat: dat}}
	default:
		return &gatewayv1.OpenResponse{Message: &gatewayv1.OpenResponse_Eot{Eot: eot}}
	}
}

// checkResponse encodes a delivery, twice, and compares it with what the generated
// code writes; and sees that the message is released once.
func checkResponse(t *testing.T, d transport.Delivery, members *Members) {
	t.Helper()
	want, err := proto.MarshalOptions{Deterministic: true}.Marshal(generatedResponse(d, members))
	if err != nil {
		t.Fatal(err)
	}
	progress := NewProgress()
	o := outbound{members: members, progress: progress}
	dats := int64(0)
	if d.Type == zio.DAT {
		dats = 1
	}
	for n := range 2 { // the second time in memory that was used
		carrier := new(countingCarrier)
		d.Message.Carry(carrier)
		o.delivery, o.borrowed = d.Weighed(), false
		buffers, err := New().Marshal(&o)
		if err != nil {
			t.Fatal(err)
		}
		if progress.Left.Messages.Load() != int64(n) || progress.DATs.Messages.Load() != dats*int64(n) {
			t.Fatalf("%d messages have left, %d of them DATs, of %d", progress.Left.Messages.Load(), progress.DATs.Messages.Load(), n)
		}
		buffers.Ref() // as gRPC does
		if got := buffers.Materialize(); !bytes.Equal(got, want) {
			t.Fatalf("wrote %x\nwant  %x", got, want)
		}
		buffers.Free()
		if carrier.released != 0 {
			t.Fatal("the message was released while gRPC had it")
		}
		borrowed := o.borrowed
		buffers.Free()
		if !borrowed {
			d.Message.Release()
		}
		if carrier.released != 1 {
			t.Fatalf("the message was released %d times", carrier.released)
		}
		if got, bytes := progress.Left.Messages.Load(), progress.DATs.Bytes.Load(); got != int64(n+1) || bytes != dats*int64((n+1)*d.Message.Size()) {
			t.Fatalf("%d messages have left, %d bytes in DATs", got, bytes)
		}
		if copied := len(want) <= maxCopied; copied == borrowed {
			t.Fatalf("a message of %d bytes was handed over: %v", len(want), borrowed)
		}
	}
}

func TestResponsesAreWhatTheGeneratedCodeWrites(t *testing.T) {
	t.Parallel()
	large := bytes.Repeat([]byte("0123456789abcdef"), 1000)
	label := []byte(`{"flow":"DAT"}`)
	for name, m := range map[string]*zio.Message{
		"empty":         {},
		"small":         {Label: label, Payload: [][]byte{[]byte("ab"), {}, []byte("c")}, Coord: zio.Coord{Origin: 1, Granule: 2, Seqno: 3}, Level: 8},
		"large":         {Label: label, Payload: [][]byte{large}, Coord: zio.Coord{Seqno: 300}},
		"nothing after": {Label: label, Payload: [][]byte{large}},
		"in pieces":     {Label: label, Payload: [][]byte{large[:700], large[700:701], large[701:], large, {}}, Ends: []int{3, 4, 5}, Coord: zio.Coord{Seqno: 1}},
		"many small":    {Label: label, Payload: bytes.SplitAfter(large, []byte("7"))},
		"long label":    {Label: bytes.Repeat(label, 5000), Payload: [][]byte{large, large}},
	} {
		for _, d := range []transport.Delivery{
			{Type: zio.PAY, Credit: -1}, {Type: zio.PAY}, {Type: zio.PAY, Credit: 300}, {Type: zio.DAT},
			{Type: zio.EOT}, {Type: zio.EOT, Reason: flow.PeerGone, Detail: "it left\xff"},
		} {
			t.Run(fmt.Sprintf("%s/%v %v", name, d.Type, d.Reason), func(t *testing.T) {
				d.Message = m
				checkResponse(t, d, OpenMembers)
				if d.Type != zio.PAY {
					checkResponse(t, d, GetMembers)
				}
			})
		}
	}
}

func FuzzResponse(f *testing.F) {
	f.Add(uint8(2), `{"flow":"DAT"}`, []byte("payload"), []byte{1, 2, 0}, uint16(700), uint64(1), uint64(2), uint64(3), uint8(4), int64(5), "detail")
	f.Add(uint8(4), "", []byte{}, []byte{}, uint16(0), uint64(0), uint64(1<<63), uint64(300), uint8(0), int64(-1), "\xff")
	f.Fuzz(func(t *testing.T, kind uint8, label string, payload, cuts []byte, times uint16, origin, granule, seqno uint64, level uint8, credit int64, detail string) {
		m := &zio.Message{
			Label: []byte(strings.ToValidUTF8(label, "?")), Level: level % (zio.MaxLevel + 1),
			Coord: zio.Coord{Origin: origin, Granule: granule, Seqno: seqno},
		}
		payload = bytes.Repeat(payload, int(times%2000)+1)
		for _, c := range cuts { // pieces; every third ends a part
			n := min(len(payload), int(c)*20)
			m.Payload, payload = append(m.Payload, payload[:n]), payload[n:]
			if len(m.Payload)%3 == 0 {
				m.Ends = append(m.Ends, len(m.Payload))
			}
		}
		if m.Ends != nil {
			m.Ends = append(m.Ends, len(m.Payload))
		}
		d := transport.Delivery{Message: m, Type: zio.PAY + zio.Type(kind%3), Credit: credit, Reason: flow.Reason(kind % 16), Detail: detail}
		checkResponse(t, d, OpenMembers)
		if d.Type != zio.PAY {
			checkResponse(t, d, GetMembers)
		}
	})
}
