//go:build soak

package soak

import (
	"fmt"
	"time"

	"github.com/zioflow/gateway/broker/zio"
	"github.com/zioflow/gateway/internal/native"
)

// carry moves count messages to the end of the flow; nil if it completed. What
// it hears of in no other way it asks the gateway: a native taker that pays
// nothing cannot know that it has been cut off.
func (s *side) carry(count, size int, wait time.Duration, before func()) error {
	for int(s.count) < count {
		before()
		err := s.step(size, wait)
		if isTimeout(err) {
			return s.ask(wait)
		}
		if err != nil {
			return s.early(err)
		}
	}
	if s.gives {
		return s.finish(wait)
	}
	for {
		switch err := s.take(wait); {
		case isTimeout(err):
			return s.ask(wait)
		case err == nil:
			return fmt.Errorf("%w: more than was sent", errWrong)
		default:
			if err = s.early(err); err == nil {
				err = s.send(eotMessage())
			}
			return err
		}
	}
}

// early is how a flow has ended that an EOT or an error has ended: for a taker
// that has it all, in good order.
func (s *side) early(err error) error {
	if reasonOf(err) == "EOT" && !s.gives {
		return nil
	}
	return err
}

// ask sends a PAY of nothing or a DAT, which a gateway that does not know the
// flow answers by an EOT.
func (s *side) ask(wait time.Duration) error {
	probe := payMessage(0)
	if s.gives {
		probe = datMessage([]byte("?"))
	}
	if err := s.send(probe); err != nil {
		return err
	}
	for {
		m, err := s.recv(wait)
		switch {
		case err != nil:
			return err
		case m.Type == zio.EOT:
			if err := m.over(); reasonOf(err) != "EOT" {
				return err
			}
			return &native.EndError{Reason: "EOT too early"}
		}
	}
}
