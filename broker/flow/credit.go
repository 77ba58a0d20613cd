package flow

import "github.com/zioflow/gateway/broker/zio"

// Credit is the ledger of one flow, as one sees it between giver and taker. It
// keeps FLOW-8, FLOW-9 and FLOW-12: what the taker has paid and the giver has
// not spent is never below zero nor above the total.
//
// What the taker pays need not reach the giver at once. The window bounds the
// DATs that the giver may send together with those that have not left the
// broker yet, so that memory is bounded by what the broker can hold and not
// only by what the taker has asked for.
type Credit struct {
	total    int64
	released int64 // the giver's to spend
	withheld int64 // paid, and waiting here for the window to have room
	window   int64
}

// Agree is the ledger that an offer and its answer settle on: the smaller of
// both, but not above limit (FLOW-2, BRK-21). A side that names no positive
// number leaves it to the other (FLOW-3); it returns false when both do. The
// window is as wide as the total.
func Agree(offer, answer zio.Number, limit int64) (Credit, bool) {
	total := limit
	for _, n := range []zio.Number{offer, answer} {
		if n.Value > 0 {
			total = min(total, n.Value)
		}
	}
	return Credit{total: total, window: total}, offer.Value > 0 || answer.Value > 0
}

// Total is how many DATs may be under way at the most.
func (c Credit) Total() int64 { return c.total }

// Released is how many DATs the giver may still send.
func (c Credit) Released() int64 { return c.released }

// Withheld is how many the taker has paid for beyond that.
func (c Credit) Withheld() int64 { return c.withheld }

// paid is what the taker has paid and the giver has not spent.
func (c Credit) paid() int64 { return c.released + c.withheld }

// pay takes n credits from the taker; false and no effect if it does not have
// them.
func (c *Credit) pay(n int64) bool {
	if n < 0 || n > c.total-c.paid() {
		return false
	}
	c.withheld += n
	return true
}

// release hands to the giver what the window has room for, while that many DATs
// have not left, and returns how much that is.
func (c *Credit) release(queued int64) int64 {
	n := max(0, min(c.withheld, c.window-c.released-queued))
	c.withheld -= n
	c.released += n
	return n
}

// spend takes the credit for one DAT; false if there is none.
func (c *Credit) spend() bool {
	if c.released == 0 {
		return false
	}
	c.released--
	return true
}
