package ledger

import (
	"time"

	"github.com/zioflow/gateway/broker/transport"
)

// rateSeconds is over how many seconds a rate is taken, the present one
// included.
const rateSeconds = 5

// rateMeter remembers how far a count had come at the beginning of the latest
// seconds, as far as something came in them.
type rateMeter struct {
	seconds [rateSeconds]sample // by second, modulo their number
	last    int64               // the latest second with a sample
}

type sample struct {
	second int64
	before transport.Count
}

// observe tells that one more will be counted now.
func (m *rateMeter) observe(now Moment, before transport.Count) {
	if second := int64(now / Moment(time.Second)); second != m.last {
		m.last = second
		m.seconds[second%rateSeconds] = sample{second, before}
	}
}

// rate is the messages and bytes per second, from the beginning of a second, 4 to
// 5 seconds ago, to now; from the start of the flow if that was later, but for a
// whole second at least.
func (m *rateMeter) rate(now, start Moment, count transport.Count) (messages, bytes float64) {
	second := int64(now / Moment(time.Second))
	first := max(0, second-rateSeconds+1)
	before := count
	for s := first; s <= second; s++ {
		if sample := m.seconds[s%rateSeconds]; sample.second == s {
			before = sample.before
			break
		}
	}
	begin := max(Moment(first)*Moment(time.Second), start)
	seconds := max(time.Duration(now-begin), time.Second).Seconds()
	return float64(count.Messages-before.Messages) / seconds, float64(count.Bytes-before.Bytes) / seconds
}
