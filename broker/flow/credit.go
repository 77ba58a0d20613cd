package flow

import "github.com/zioflow/gateway/broker/zio"

// Credit is the ledger of one flow, as one sees it between giver and taker. It
// keeps FLOW-8, FLOW-9 and FLOW-12: what the taker has paid and the giver has
// not spent is never below zero nor above the total.
type Credit struct {
	total, paid int64
}

// Agree is the ledger that an offer and its answer settle on: the smaller of
// both, but not above limit (FLOW-2, BRK-21). A side that names no positive
// number leaves it to the other (FLOW-3); it answers false when both do.
func Agree(offer, answer zio.Number, limit int64) (Credit, bool) {
	total := limit
	for _, n := range []zio.Number{offer, answer} {
		if n.Value > 0 {
			total = min(total, n.Value)
		}
	}
	return Credit{total: total}, offer.Value > 0 || answer.Value > 0
}

// Total is how many DATs may be under way at the most.
func (c Credit) Total() int64 { return c.total }

// Paid is how many DATs the giver may still send.
func (c Credit) Paid() int64 { return c.paid }

// Pay hands n credits to the giver; false and no effect if the taker does not
// have them.
func (c *Credit) Pay(n int64) bool {
	if n < 0 || n > c.total-c.paid {
		return false
	}
	c.paid += n
	return true
}

// Spend takes the credit for one DAT; false if there is none.
func (c *Credit) Spend() bool {
	if c.paid == 0 {
		return false
	}
	c.paid--
	return true
}
