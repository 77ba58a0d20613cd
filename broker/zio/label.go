package zio

import (
	"fmt"
	"math"
)

// Type is what a flow message does, by the `flow` key of its label.
type Type uint8

// The flow protocol's messages.
const (
	NoType Type = iota
	BOT         // opens one side of a flow
	PAY         // hands credit to the giver
	DAT         // carries data
	EOT         // ends one side of a flow
)

var typeNames = [...]string{"none", "BOT", "PAY", "DAT", "EOT"}

func (t Type) String() string { return typeNames[t] }

// Direction is what the sender of a BOT will do.
type Direction uint8

// The directions, in ZIO's words.
const (
	NoDirection Direction = iota
	Extract               // it will give DAT
	Inject                // it will take DAT
)

var directionNames = [...]string{"none", "extract", "inject"}

func (d Direction) String() string { return directionNames[d] }

// Reverse is the direction of the other side.
func (d Direction) Reverse() Direction {
	switch d {
	case Extract:
		return Inject
	case Inject:
		return Extract
	default:
		return NoDirection
	}
}

// Number is an integer that a label may hold under a key.
type Number struct {
	// Value is the integer; beyond int64 it is the nearest one.
	Value int64
	// Form says whether Value means anything.
	Form NumberForm
}

// NumberForm is what stands where a Number is wanted.
type NumberForm uint8

// The forms of a Number.
const (
	Absent     NumberForm = iota // the key is missing
	Integer                      // an integer
	NotInteger                   // a fraction, a string, anything else
)

// Head is what relaying a flow message needs to know of its label.
type Head struct {
	Type   Type
	Credit Number
}

// Peek reads the flow type, and the credit, from a label's text without
// decoding the rest and without allocating. It accepts exactly the texts that
// are a UTF-8 JSON object in which `flow` stands once and names a type, and in
// which `credit` stands once at the most; other keys may repeat, and NaN, Infinity
// and -Infinity may stand for numbers. With an error comes the type, if that much
// could be read.
func Peek(label []byte) (Head, error) {
	switch string(label) { // what nearly all messages say
	case `{"flow":"DAT"}`, `{"flow": "DAT"}`:
		return Head{Type: DAT}, nil
	}
	var (
		head  Head
		seen  bool
		wrong error
		scan  = membersOf(label)
	)
	for scan.next() {
		switch {
		case is(scan.key, "flow"):
			if seen {
				return Head{}, errTwice("flow")
			}
			seen = true
			if head.Type = typeOf(scan.value); head.Type == NoType {
				return Head{}, fmt.Errorf("%w: label has an unknown flow type %.20s", ErrMalformed, scan.value)
			}
		case is(scan.key, "credit"):
			if head.Credit.Form != Absent {
				wrong = errTwice("credit")
			}
			head.Credit = parseNumber(scan.value)
		}
	}
	if scan.err != nil {
		return Head{}, scan.err
	}
	if !seen {
		return Head{}, fmt.Errorf("%w: label has no flow key", ErrMalformed)
	}
	return head, wrong
}

func errTwice(key string) error {
	return fmt.Errorf("%w: label has the key %s twice", ErrMalformed, key)
}

func typeOf(value []byte) Type {
	if len(value) < 2 || value[0] != '"' {
		return NoType
	}
	raw := value[1 : len(value)-1]
	for t := BOT; t <= EOT; t++ {
		if is(raw, typeNames[t]) {
			return t
		}
	}
	return NoType
}

// parseNumber reads a JSON value as an integer. Only digits count: 2.0 and 2e0
// are fractions here, as they are to the native implementations' types.
func parseNumber(value []byte) Number {
	digits, negative := value, false
	if len(digits) > 0 && digits[0] == '-' {
		digits, negative = digits[1:], true
	}
	if len(digits) == 0 {
		return Number{Form: NotInteger}
	}
	var n int64
	for _, c := range digits {
		if c < '0' || c > '9' {
			return Number{Form: NotInteger}
		}
		if d := int64(c - '0'); n > (math.MaxInt64-d)/10 {
			n = math.MaxInt64 // and stays there, whatever digits follow
		} else {
			n = n*10 + d
		}
	}
	if negative {
		n = -n
	}
	return Number{Value: n, Form: Integer}
}
