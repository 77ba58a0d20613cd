package relay

import (
	"sync/atomic"

	"github.com/zioflow/gateway/broker/budget"
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/zio"
)

// answers are the handler's BOT for both sides, which differ in their labels and have one
// copy of its payload. It is charged to the handler's account until both have left: who
// does not read what he is answered must not have the gateway hold more than it may.
func answers(m *zio.Message, toClient, toHandler []byte, account *budget.Account) [2]*zio.Message {
	client := m.WithLabel(toClient)
	handler := *client
	handler.Label = toHandler
	if weight := int64(client.Weight()); weight > 0 {
		a := &answer{account: account, bytes: weight}
		a.holders.Store(2)
		account.Add(weight)
		client.Carry(a)
		handler.Carry(a)
	}
	return [2]*zio.Message{flow.Client: client, flow.Handler: &handler}
}

// answer is what both have in common. It implements zio.Carrier.
type answer struct {
	account *budget.Account
	bytes   int64
	holders atomic.Int32
}

// Release implements zio.Carrier.
func (a *answer) Release() {
	if a.holders.Add(-1) == 0 {
		a.account.Release(a.bytes)
	}
}
