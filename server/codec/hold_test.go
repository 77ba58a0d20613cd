package codec

import (
	"testing"

	"google.golang.org/grpc/mem"

	"github.com/zioflow/gateway/broker/budget"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// freed is a buffer pool that knows whether its buffer has come back.
type freed struct{ back bool }

func (*freed) Get(n int) *[]byte { b := make([]byte, n); return &b }
func (f *freed) Put(*[]byte)     { f.back = true }

// TestInboundIsHeld: gRPC has its buffers back, and the account its bytes, when the last
// holder has let go.
func TestInboundIsHeld(t *testing.T) {
	t.Parallel()
	var b budget.Budget
	b.Resize(1 << 20)
	account := b.NewAccount("a", 1<<20)
	pool := new(freed)
	data := make([]byte, 10_000)
	in := newInbound(&gatewayv1.Dat{Payload: [][]byte{data}})
	in.buffers = mem.BufferSlice{mem.NewBuffer(&data, pool)}
	if !in.Charge(account, nil) {
		t.Fatal("it was not charged")
	}
	in.Message.Hold()
	in.Message.Release()
	if pool.back || b.Held() == 0 {
		t.Errorf("with a holder left, the buffers are back: %v, and %d bytes are held", pool.back, b.Held())
	}
	in.Message.Release()
	if !pool.back || b.Held() != 0 {
		t.Errorf("with no holder left, the buffers are back: %v, and %d bytes are held", pool.back, b.Held())
	}
}
