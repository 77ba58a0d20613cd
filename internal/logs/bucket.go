package logs

import "time"

// bucket holds tokens, one for each line. It fills up at a rate, to no more than
// its burst. The zero value is full: so is one that was not used for long.
type bucket struct {
	spent float64   // of the burst, at the time
	at    time.Time // of the latest look
}

// look has the bucket filled up to now, and tells how much of it is spent.
func (b *bucket) look(now time.Time, rate float64) float64 {
	b.spent = max(0, b.spent-now.Sub(b.at).Seconds()*rate)
	b.at = now
	return b.spent
}

// has tells whether there is a token.
func (b *bucket) has(now time.Time, burst, rate float64) bool { return b.look(now, rate)+1 <= burst }
