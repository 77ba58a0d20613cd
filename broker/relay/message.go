package relay

import (
	"fmt"

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
		a.Hold()
		account.Add(weight)
		client.Carry(a)
		handler.Carry(a)
	}
	return [2]*zio.Message{flow.Client: client, flow.Handler: &handler}
}

// answer is what both have in common. It implements zio.Carrier.
type answer struct {
	zio.Refs // both
	account  *budget.Account
	bytes    int64
}

// Release implements zio.Carrier.
func (a *answer) Release() {
	if a.Drop() {
		a.account.Release(a.bytes)
	}
}

// Oversize tells whether a message of that weight is larger than allowed, be it by
// its payload, its label or the number of its parts (MSG-13).
func Oversize(m *zio.Message, weight int, limits *Limits) bool {
	return weight > limits.MaxMessage || len(m.Label) > zio.MaxLabel || m.Parts() > zio.MaxParts
}

// TooLarge says what is too large about an oversize message.
func TooLarge(m *zio.Message, limits *Limits) string {
	if problem := LongLabel(m); problem != "" {
		return problem
	}
	size, parts, label := m.Size(), m.Parts(), len(m.Label)
	switch {
	case parts > zio.MaxParts: // how many, the decoder has not counted
		return fmt.Sprintf("the message has more than %d parts", zio.MaxParts)
	case size > limits.MaxMessage:
		return fmt.Sprintf("the message has %d bytes, %d are allowed", size, limits.MaxMessage)
	case label > m.PartsBurden():
		return fmt.Sprintf("the message has %d bytes and a label of %d bytes, which counts as %d: %d are allowed",
			size, label, m.Burden(), limits.MaxMessage)
	default:
		return fmt.Sprintf("the message has %d bytes in %d parts, which count as %d more: %d are allowed",
			size, parts, m.Burden(), limits.MaxMessage)
	}
}

// LongLabel says that a label is too long to be read; empty for others.
func LongLabel(m *zio.Message) string {
	if n := len(m.Label); n > zio.MaxLabel {
		return fmt.Sprintf("the label has %d bytes, %d are allowed", n, zio.MaxLabel)
	}
	return ""
}
