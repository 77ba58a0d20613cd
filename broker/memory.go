package broker

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
