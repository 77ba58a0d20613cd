package broker

// setBudgets puts the limits to use. Peers that take part in no flow share what two
// messages need: enough for BOTs that carry much, one after the other, whoever else has
// begun to send one and does not go on.
func (b *Broker) setBudgets(o *Options) {
	b.budget.Resize(o.MaxBytes)
	b.early.Resize(2*int64(o.MaxMessage) + 4<<20)
}

// Held is how many bytes are charged at present.
func (b *Broker) Held() int64 { return b.budget.Held() }

// WaitingReaders is how many peers are not read from at present, because there is no
// room for more of theirs (budget.Account.Charge): in the budget, in their own account, or
// in what peers without a flow share.
func (b *Broker) WaitingReaders() int64 {
	return b.budget.Waiting() + b.early.Waiting()
}

// Exhausted tells whether the bytes in the broker have reached their limit.
func (b *Broker) Exhausted() bool { return b.budget.Full() }
