package main_test

import (
	"fmt"
	"time"

	"github.com/zioflow/gateway/broker/zio"
)

// side is a peer with its part in one flow.
type side struct {
	peer
	via    transportName // its own
	from   transportName // the other side's
	credit int64         // agreed
	ends   bool          // it is the one to say EOT first
	// withheld tells that the gateway may hold back a part of a PAY, to bound
	// its memory, and pay that later in a PAY of its own.
	withheld bool
	sent     uint64 // messages in this flow, its BOT included
	got      uint64 // likewise
}

// put sends a message with the seqno that is its turn.
func (s *side) put(m *zio.Message) error {
	m.Seqno = s.via.seqno(s.sent)
	s.sent++
	return s.send(m)
}

// next receives a message and checks its seqno (FLOW-13, BRK-4).
func (s *side) next() (*message, error) {
	m, err := s.recv()
	if err != nil {
		return nil, fmt.Errorf("waiting for message %d: %w", s.got, err)
	}
	if want := s.from.seqno(s.got); m.Seqno != want && !s.withheld {
		return nil, fmt.Errorf("message %d, %s: seqno is %d, want %d", s.got, m.Label, m.Seqno, want)
	}
	s.got++
	return m, nil
}

// give gives a corpus, when there is credit, and sees the flow to its end.
func (s *side) give(c *corpus) error {
	var credit int64
	for n := range c.count {
		for credit == 0 {
			m, err := s.next()
			if err == nil {
				err = s.checkPay(m)
			}
			if err != nil {
				return fmt.Errorf("giver, after %d DATs: %w", n, err)
			}
			credit += m.Credit
		}
		if credit--; credit >= s.credit {
			return fmt.Errorf("giver was paid %d beyond the total of %d", credit+1-s.credit, s.credit)
		}
		if err := s.put(c.message(n)); err != nil {
			return fmt.Errorf("giver, DAT %d: %w", n, err)
		}
	}
	return s.end("giver", zio.PAY)
}

// checkPay looks at a received PAY. A gRPC peer leaves label and granule to the
// gateway, a native one's stays unchanged.
func (s *side) checkPay(m *message) error {
	if m.Type != zio.PAY || m.Credit < 1 {
		return fmt.Errorf("received %s, want a PAY", m.Label)
	}
	want := payMessage(m.Credit)
	want.Origin, want.Granule = payOrigin, 0
	age := time.Since(time.UnixMicro(int64(m.Granule)))
	switch {
	case s.from == viaNothing || s.withheld:
		return nil
	case s.from == viaGRPC && (age < 0 || age > time.Minute):
		return fmt.Errorf("PAY's granule is %d, want the present in microseconds", m.Granule)
	case s.from == viaGRPC:
		want.Granule = m.Granule
	}
	return sameHead(m.Message, want)
}

const payOrigin = 77

func (s *side) pay(credit int64) error {
	m := payMessage(credit)
	m.Origin, m.Granule = payOrigin, 0
	return s.put(m)
}

// take takes a corpus, paying as it goes, and sees the flow to its end.
func (s *side) take(c *corpus) error {
	return s.takeAll(c.count, c.check)
}

func (s *side) takeAll(count int, check func(int, *zio.Message) error) error {
	held := s.credit
	portion := max(1, s.credit/4)
	for n := range count {
		if held >= portion {
			if err := s.pay(held); err != nil {
				return fmt.Errorf("taker, after %d DATs: %w", n, err)
			}
			held = 0
		}
		m, err := s.next()
		if err == nil && m.Type != zio.DAT {
			err = fmt.Errorf("received %s", m.Label)
		}
		if err == nil {
			err = check(n, m.Message)
		}
		if err != nil {
			return fmt.Errorf("taker, waiting for DAT %d: %w", n, err)
		}
		held++
	}
	return s.end("taker", zio.DAT)
}

// endLabel is an EOT that must cross like any other message.
const endLabel = `{ "flow":"EOT", "summary":[9007199254740993, "ü"] }`

// end says EOT first or answers the other side's. Meanwhile messages of one
// type may still come.
func (s *side) end(who string, drain zio.Type) error {
	eot := flowMessage(endLabel, []byte("bye"), []byte(who))
	eot.Level, eot.Origin = 3, 4
	if s.ends {
		if err := s.put(eot); err != nil {
			return fmt.Errorf("%s, EOT: %w", who, err)
		}
	}
	for {
		m, err := s.next()
		switch {
		case err != nil:
			return fmt.Errorf("%s, waiting for EOT: %w", who, err)
		case m.Type == drain:
			continue
		case m.Type != zio.EOT || m.End.Reason != "":
			return fmt.Errorf("%s received %s, want EOT", who, m.Label)
		}
		if err := s.checkEnd(m, eot); err != nil {
			return fmt.Errorf("%s, EOT: %w", who, err)
		}
		break
	}
	if !s.ends {
		if err := s.put(eot); err != nil {
			return fmt.Errorf("%s, EOT: %w", who, err)
		}
	}
	if err := s.finish(true); err != nil {
		return fmt.Errorf("%s: %w", who, err)
	}
	return nil
}

// checkEnd compares an EOT that has come with one's own: but for the granule,
// both sides send the same label and coord.
func (s *side) checkEnd(m *message, own *zio.Message) error {
	if s.from == viaNothing {
		return nil
	}
	want := *own
	want.Granule = m.Granule
	if len(m.Payload) != 2 || string(m.Payload[0]) != "bye" {
		return fmt.Errorf("payload is %q", m.Payload)
	}
	return sameHead(m.Message, &want)
}
