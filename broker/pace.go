package broker

import "time"

// paceSeconds is over how many seconds a rate is taken, the present one
// included.
const paceSeconds = 5

// pace remembers how far a count had come at the beginning of the latest
// seconds, as far as something came in them.
type pace struct {
	marks [paceSeconds]mark // by second, modulo their number
	last  int64             // the latest second with a mark
}

type mark struct {
	second int64
	before Count
}

// tick tells that one more will be counted now.
func (p *pace) tick(now moment, before Count) {
	if second := int64(now / moment(time.Second)); second != p.last {
		p.last = second
		p.marks[second%paceSeconds] = mark{second, before}
	}
}

// rate is the messages and bytes per second, from the beginning of a second, 4 to
// 5 seconds ago, to now; from the start of the flow if that was later, but for a
// whole second at least.
func (p *pace) rate(now, start moment, count Count) (messages, bytes float64) {
	second := int64(now / moment(time.Second))
	first := max(0, second-paceSeconds+1)
	before := count
	for s := first; s <= second; s++ {
		if m := p.marks[s%paceSeconds]; m.second == s {
			before = m.before
			break
		}
	}
	begin := max(moment(first)*moment(time.Second), start)
	seconds := max(time.Duration(now-begin), time.Second).Seconds()
	return float64(count.Messages-before.Messages) / seconds, float64(count.Bytes-before.Bytes) / seconds
}
