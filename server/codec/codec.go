// Package codec is the path of a message's bytes between gRPC and the broker. It reads
// and writes PAYs, DATs and EOTs in the memory in which they lie (see
// docs/adr/0005-a-codec-of-our-own-for-grpc.md), and counts what leaves.
package codec

import (
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/zioflow/gateway/broker/zio"
)

// Codec is gRPC's codec "proto". The messages of a flow it reads and writes
// itself, in the memory in which they arrived; all others it leaves to the
// standard codec, and so BOTs, which are rewritten anyway. What it writes is what
// the generated code writes, and what it accepts means what it means there.
type Codec struct{ encoding.CodecV2 }

// New returns it.
func New() Codec { return Codec{encoding.GetCodecV2(proto.Name)} }

// Marshal implements encoding.CodecV2.
func (c Codec) Marshal(v any) (mem.BufferSlice, error) {
	switch m := v.(type) {
	case *outbound:
		return m.encode(), nil
	case *generated:
		return m.encode(c.CodecV2)
	default:
		return c.CodecV2.Marshal(v)
	}
}

// Unmarshal implements encoding.CodecV2.
func (c Codec) Unmarshal(data mem.BufferSlice, v any) error {
	if m, is := v.(*Request); is {
		return m.decode(data, c.CodecV2)
	}
	return c.CodecV2.Unmarshal(data, v)
}

// Members are the members of a message of the contract that hold the messages of a
// flow: their field numbers by type, 0 where there is none.
type Members [zio.EOT + 1]protowire.Number

// The messages of which the codec reads and writes the members.
var (
	OpenMembers = &Members{zio.BOT: 1, zio.PAY: 2, zio.DAT: 3, zio.EOT: 4} // OpenRequest, OpenResponse, CarryRequest, CarryResponse
	PutMembers  = &Members{zio.BOT: 1, zio.DAT: 2, zio.EOT: 3}             // PutRequest
	GetMembers  = &Members{zio.BOT: 1, zio.DAT: 2, zio.EOT: 3}             // GetResponse

	GetRequestMembers = &Members{zio.BOT: 1} // GetRequest
)

// The fields of Pay, Dat and Eot.
const (
	fieldLabel   protowire.Number = 1
	fieldPayload protowire.Number = 2
	fieldOrigin  protowire.Number = 3
	fieldGranule protowire.Number = 4
	fieldSeqno   protowire.Number = 5
	fieldLevel   protowire.Number = 6
	fieldReason  protowire.Number = 7 // Eot
	fieldCredit  protowire.Number = 8 // Pay
	fieldDetail  protowire.Number = 8 // Eot
)
