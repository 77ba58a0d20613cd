// Package generator is what the load generators written in Go share: their
// arguments, the driver's orders and the taker's report, as native/load.c
// describes them.
package generator

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// Window is how many flows a generator may have begun that are not yet open: a
// relay's backlog, and what the gateway keeps for a listener, are bounded.
const Window = 32

// Spec says what to do, in the order of the arguments.
type Spec struct {
	Gives, Gateway             bool
	Address                    string
	Flows, Rounds, Count, Size int
	Credit                     int64
}

// Parse reads the arguments.
func Parse(arguments []string) (*Spec, error) {
	if len(arguments) != 8 {
		return nil, errors.New("usage: give|take gateway|relay ADDRESS FLOWS ROUNDS COUNT SIZE CREDIT")
	}
	var numbers [5]int
	for i, word := range arguments[3:] {
		n, err := strconv.Atoi(word)
		if err != nil {
			return nil, err
		}
		numbers[i] = n
	}
	s := &Spec{
		Gives: arguments[0] == "give", Gateway: arguments[1] == "gateway", Address: arguments[2],
		Flows: numbers[0], Rounds: numbers[1], Count: numbers[2], Size: numbers[3], Credit: int64(numbers[4]),
	}
	if s.Flows < 1 || s.Rounds < 1 || s.Count < 0 || s.Size < 8 || s.Credit < 1 {
		return nil, errors.New("FLOWS, ROUNDS and CREDIT are at least 1, SIZE at least 8")
	}
	return s, nil
}

// Total is how many messages there are in all flows.
func (s *Spec) Total() int64 { return int64(s.Flows) * int64(s.Rounds) * int64(s.Count) }

// Obey reads the driver's orders until there are no more: open is called with a
// flow and its cid, start when data is wanted.
func Obey(orders io.Reader, flows int, open func(i int, cid uint64) error, start func() error) error {
	lines := bufio.NewScanner(orders)
	for lines.Scan() {
		if lines.Text() == "go" {
			if err := start(); err != nil {
				return err
			}
			continue
		}
		var i int
		var cid uint64
		if _, err := fmt.Sscan(lines.Text(), &i, &cid); err != nil || i < 0 || i >= flows {
			return fmt.Errorf("order %q: want go, or one of %d flows and its cid", lines.Text(), flows)
		}
		if err := open(i, cid); err != nil {
			return err
		}
	}
	return lines.Err()
}
