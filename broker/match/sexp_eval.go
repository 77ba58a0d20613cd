package match

import (
	"cmp"
	"errors"
	"fmt"
	"math/big"
	"strings"

	"github.com/zioflow/gateway/broker/zio"
)

// operation computes a list. The error says why it has no value.
type operation func(args []expression, s *scope) (any, error)

// operator is what may stand first in a list.
type operator struct {
	apply       operation
	least, most int  // operands; most 0 for any number
	every       bool // true only if all operands are
}

func (o operator) wants() string {
	if o.least == o.most {
		return fmt.Sprint(o.least)
	}
	return fmt.Sprintf("%d or more", o.least)
}

// ruleOperators by their names in ZIO. Division is not among them: it works in none
// of ZIO's own implementations.
var ruleOperators map[string]operator

func init() { // in a function: the table leads to itself
	ruleOperators = map[string]operator{}
	for _, o := range []struct {
		names       string
		apply       operation
		least, most int
	}{
		{"and &", all, 1, 0},
		{"or |", one, 1, 0},
		{"= == eq", chain(equal), 2, 0},
		{"!= ne", chain(func(a, b any) (bool, error) { is, err := equal(a, b); return !is, err }), 2, 2},
		{"< lt", chain(ordered(func(c int) bool { return c < 0 })), 2, 0},
		{"<= le", chain(ordered(func(c int) bool { return c <= 0 })), 2, 0},
		{"> gt", chain(ordered(func(c int) bool { return c > 0 })), 2, 0},
		{">= ge", chain(ordered(func(c int) bool { return c >= 0 })), 2, 0},
		{"+ add", fold(add), 2, 0},
		{"- sub", fold(arithmetic((*big.Int).Sub, func(a, b float64) float64 { return a - b })), 2, 0},
		{"* mul", fold(arithmetic((*big.Int).Mul, func(a, b float64) float64 { return a * b })), 2, 0},
	} {
		for name := range strings.FieldsSeq(o.names) {
			ruleOperators[name] = operator{o.apply, o.least, o.most, name == "and" || name == "&"}
		}
	}
}

// eval is an expression's value: bool, string, *big.Int, float64, or what a
// label's list, object or null is.
func (e *expression) eval(s *scope) (any, error) {
	if err := s.spend(1); err != nil {
		return nil, err
	}
	switch {
	case e.apply != nil:
		return e.apply(e.args, s)
	case e.name == "":
		return e.value, nil
	}
	value, defined := s.value(e.name)
	if !defined {
		return nil, fmt.Errorf("%s is missing", e.name)
	}
	switch v := value.(type) {
	case int64:
		return big.NewInt(v), nil
	case uint64:
		return new(big.Int).SetUint64(v), nil
	case zio.Unread:
		return nil, fmt.Errorf("%s %s", e.name, string(v))
	}
	return value, nil
}

// true tells whether an expression holds: it is true, or a number other than 0,
// as (or 0 1) is true to ZIO.
func (e *expression) true(s *scope) (bool, error) {
	value, err := e.eval(s)
	if err != nil {
		return false, err
	}
	switch v := value.(type) {
	case bool:
		return v, nil
	case *big.Int:
		return v.Sign() != 0, nil
	case float64:
		return v != 0, nil
	}
	return false, fmt.Errorf("%s is %s, neither true nor false", cut(e.text, maxText), shown(value))
}

// all is false if an operand is, whatever the others are; otherwise it has no
// value if an operand has none.
func all(args []expression, s *scope) (any, error) {
	var failed error
	for i := range args {
		switch is, err := args[i].true(s); {
		case err != nil:
			failed = cmp.Or(failed, err)
		case !is:
			return false, nil
		}
	}
	return failed == nil, failed
}

// one is true if an operand is, whatever the others are; otherwise it has no
// value if an operand has none.
func one(args []expression, s *scope) (any, error) {
	var failed error
	for i := range args {
		switch is, err := args[i].true(s); {
		case err != nil:
			failed = cmp.Or(failed, err)
		case is:
			return true, nil
		}
	}
	return false, failed
}

// chain compares every operand with the next: (< 1 run 10).
func chain(holds func(a, b any) (bool, error)) operation {
	return func(args []expression, s *scope) (any, error) {
		values, err := evalAll(args, s)
		if err != nil {
			return nil, err
		}
		result := true
		for i := range len(values) - 1 {
			if err := s.spend(effort(values[i]) + effort(values[i+1])); err != nil {
				return nil, err
			}
			is, err := holds(values[i], values[i+1])
			if err != nil {
				return nil, err
			}
			result = result && is
		}
		return result, nil
	}
}

// fold computes from the left: (- 9 2 1) is 6.
func fold(compute func(a, b any) (any, error)) operation {
	return func(args []expression, s *scope) (any, error) {
		values, err := evalAll(args, s)
		if err != nil {
			return nil, err
		}
		result := values[0]
		for _, value := range values[1:] {
			if err := s.spend(effort(result) + effort(value)); err != nil {
				return nil, err
			}
			if result, err = compute(result, value); err != nil {
				return nil, err
			}
		}
		return result, nil
	}
}

func evalAll(args []expression, s *scope) ([]any, error) {
	values := make([]any, len(args))
	for i := range args {
		var err error
		if values[i], err = args[i].eval(s); err != nil {
			return nil, err
		}
	}
	return values, nil
}

// equal compares values of any types; those of different types differ.
func equal(a, b any) (bool, error) {
	if isNumber(a) && isNumber(b) {
		return compareNumbers(a, b) == 0, nil
	}
	switch v := a.(type) {
	case bool:
		w, same := b.(bool)
		return same && v == w, nil
	case string:
		w, same := b.(string)
		return same && v == w, nil
	case nil:
		return b == nil, nil
	case []any, map[string]any:
		return false, fmt.Errorf("%s can't be compared", shown(a))
	}
	return false, nil // a number, and b is none
}

// ordered compares two numbers or two strings.
func ordered(is func(sign int) bool) func(a, b any) (bool, error) {
	return func(a, b any) (bool, error) {
		if isNumber(a) && isNumber(b) {
			return is(compareNumbers(a, b)), nil
		}
		v, ok := a.(string)
		w, same := b.(string)
		if !ok || !same {
			return false, fmt.Errorf("%s and %s have no order", shown(a), shown(b))
		}
		return is(strings.Compare(v, w)), nil
	}
}

func isNumber(v any) bool {
	switch v.(type) {
	case *big.Int, float64:
		return true
	}
	return false
}

// compareNumbers compares by value, whatever the types.
func compareNumbers(a, b any) int {
	if i, ok := a.(*big.Int); ok {
		if j, ok := b.(*big.Int); ok {
			return i.Cmp(j)
		}
	}
	return exact(a).Cmp(exact(b))
}

// exact is a number as a fraction. A label's numbers are finite.
func exact(v any) *big.Rat {
	if i, ok := v.(*big.Int); ok {
		return new(big.Rat).SetInt(i)
	}
	f, _ := v.(float64)
	return new(big.Rat).SetFloat64(f)
}

// add adds numbers and joins strings.
func add(a, b any) (any, error) {
	v, ok := a.(string)
	w, same := b.(string)
	if !ok || !same {
		return arithmetic((*big.Int).Add, func(a, b float64) float64 { return a + b })(a, b)
	}
	if len(v)+len(w) > maxJoined {
		return nil, errors.New("a text becomes too long")
	}
	return v + w, nil
}

// Bounds of what a rule may compute.
const (
	maxBits   = 256
	maxJoined = 1 << 16
)

// arithmetic computes with integers, or with fractions if one operand is one.
func arithmetic(whole func(z, a, b *big.Int) *big.Int, fraction func(a, b float64) float64) func(a, b any) (any, error) {
	return func(a, b any) (any, error) {
		if !isNumber(a) || !isNumber(b) {
			return nil, fmt.Errorf("%s and %s are not both numbers", shown(a), shown(b))
		}
		i, integers := a.(*big.Int)
		j, both := b.(*big.Int)
		if integers && both {
			if sum := whole(new(big.Int), i, j); sum.BitLen() <= maxBits {
				return sum, nil
			}
			return nil, errors.New("a number becomes too large")
		}
		f, _ := exact(a).Float64()
		g, _ := exact(b).Float64()
		if r := fraction(f, g); r-r == 0 { // finite
			return r, nil
		}
		return nil, errors.New("a number becomes too large")
	}
}
