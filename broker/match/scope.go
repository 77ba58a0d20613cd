package match

import (
	"errors"
	"math/big"

	"github.com/zioflow/gateway/broker/matching"
)

// scope is what a rule's identifiers stand for, as in ZIO: its own attr; then the
// BOT's direction, the handler's, and its coordinates; then the BOT's attributes. A
// value is a bool, string, int64, uint64 or float64, or anything else that a label
// may hold.
type scope struct {
	attr map[string]any
	view *matching.View
	left *int // of what evaluation may cost
}

func (s *scope) value(name string) (value any, defined bool) {
	if value, defined = s.attr[name]; defined {
		return value, true
	}
	switch name {
	case "direction":
		return s.view.Direction.String(), true
	case "origin":
		return s.view.Coord.Origin, true
	case "granule":
		return s.view.Coord.Granule, true
	case "seqno":
		return s.view.Coord.Seqno, true
	}
	value, defined = s.view.Attributes()[name]
	return value, defined
}

// maxSpent bounds the evaluation of a ruleset: so many parts of rules, of some
// 0.1 µs each, with what effort adds for their values.
const maxSpent = 50_000

var errSpent = errors.New("takes too long to evaluate")

// spend takes n from what is left.
func (s *scope) spend(n int) error {
	if *s.left -= n; *s.left < 0 {
		return errSpent
	}
	return nil
}

// effort is how many parts more it costs to compare a value, or to compute with it.
func effort(value any) int {
	switch v := value.(type) {
	case string:
		return len(v) / bytesPerUnit
	case *big.Int:
		return 1
	case float64: // becomes a fraction of up to a thousand digits
		return 20
	}
	return 0
}
