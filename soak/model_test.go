//go:build soak

package soak

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/zioflow/gateway/broker/zio"
)

// model knows what a side may say in a flow with one of the built-in handlers,
// says some of that, and then something else.
type model struct {
	peer
	via   transport
	rng   *rand.Rand
	gives bool
	total int64
	held  int64 // as side.held
	said  []string
}

// offence is an illegal message, with the reasons that its EOT may have; with
// none, nothing is to answer.
type offence struct {
	name    string
	message func(*model) *zio.Message
	wanted  []string
	// native: gRPC's own messages can't say it.
	native bool
}

const (
	protocol = "protocol_error"
	credit   = "credit_violation"
)

func label(text string) func(*model) *zio.Message {
	return func(*model) *zio.Message { return flowMessage(text) }
}

// whenIdle are offences of a peer without a flow.
var whenIdle = []offence{
	{"BOT of unknown direction", label(`{"flow":"BOT","direction":"sideways","credit":2}`), []string{protocol}, false},
	{"BOT without direction", label(`{"flow":"BOT","credit":2}`), []string{protocol}, false},
	{"BOT with fractional credit", label(`{"flow":"BOT","direction":"extract","credit":2.5}`), []string{protocol}, false},
	{"BOT with a strange cid", func(m *model) *zio.Message {
		return botMessage(zio.Extract, 2, 1+m.rng.Uint64N(1<<52), "")
	}, []string{"rejected"}, false},
	{"BOT with a cid that is none", label(`{"flow":"BOT","direction":"extract","credit":2,"cid":"x"}`), []string{"rejected", protocol}, false},
	{"generate with a bad size", label(`{"flow":"BOT","direction":"inject","credit":2,"size":-1}`), []string{"rejected"}, false},
}

// whenActive are offences of either side.
var whenActive = []offence{
	{"no JSON", label(`{"flow":"DAT"`), []string{protocol}, true},
	{"no object", label(`[1]`), []string{protocol}, true},
	{"no flow key", label(`{"credit":1}`), []string{protocol}, true},
	{"flow key twice", label(`{"flow":"DAT","flow":"EOT"}`), []string{protocol}, true},
	{"unknown type", label(`{"flow":"FIN"}`), []string{protocol}, true},
	{"level 9", func(*model) *zio.Message { m := eotMessage(); m.Level = 9; return m }, []string{protocol}, false},
	{"another BOT with a strange cid", label(`{"flow":"BOT","direction":"extract","credit":2,"cid":77}`), []string{"rejected", protocol}, false},
}

var whenGiving = []offence{
	{"PAY by the giver", label(`{"flow":"PAY","credit":1}`), []string{protocol}, false},
	{"DATs beyond credit", func(m *model) *zio.Message {
		for range 3 * m.total {
			_ = m.send(datMessage([]byte("too much"))) // the last one's error counts
		}
		return datMessage([]byte("too much"))
	}, []string{credit}, false},
}

var whenTaking = []offence{
	{"DAT by the taker", label(`{"flow":"DAT"}`), []string{protocol}, false},
	{"PAY beyond the total", func(m *model) *zio.Message { return payMessage(2*m.total + 1) }, []string{credit}, false},
	{"PAY below zero", label(`{"flow":"PAY","credit":-1}`), []string{credit}, false},
	{"PAY of 2⁶⁵", label(`{"flow":"PAY","credit":36893488147419103232}`), []string{credit}, true},
	{"PAY without credit", label(`{"flow":"PAY"}`), []string{protocol}, true},
	{"PAY of a string", label(`{"flow":"PAY","credit":"1"}`), []string{credit}, true},
}

// run says one sequence, and answers by what its EOT explains itself.
func (m *model) run() (reason string, err error) {
	if m.rng.IntN(4) == 0 {
		return m.offend(whenIdle)
	}
	if err := m.open(); err != nil {
		return "", err
	}
	for range m.rng.IntN(6) {
		if over, err := m.legal(); over || err != nil {
			return "ended in good order", err
		}
	}
	if m.gives {
		return m.offend(append(slices.Clone(whenActive), whenGiving...))
	}
	return m.offend(append(slices.Clone(whenActive), whenTaking...))
}

func (m *model) open() error {
	m.gives = m.rng.IntN(2) == 0
	s := side{peer: m.peer, gives: m.gives}
	m.said = append(m.said, fmt.Sprintf("BOT(gives %t)", m.gives))
	if err := s.begin(1+m.rng.Int64N(5), 0, `,"count":1000000`); err != nil {
		return err
	}
	m.total, m.held = s.credit, s.held
	return nil
}

// legal says something that the protocol allows.
func (m *model) legal() (over bool, err error) {
	if m.rng.IntN(10) == 0 {
		m.said = append(m.said, "EOT")
		s := side{peer: m.peer, gives: true} // so that it does not check
		return true, s.finish(patience)
	}
	if m.gives {
		return false, m.legalGiver()
	}
	if m.held > 0 {
		n := m.rng.Int64N(m.held + 1)
		m.said = append(m.said, fmt.Sprintf("PAY(%d)", n))
		m.held -= n
		return false, m.send(payMessage(n))
	}
	in, err := m.recv(patience)
	if err == nil && in.Type != zio.DAT {
		err = fmt.Errorf("taker was sent %s", in.Label)
	}
	m.held++
	return false, err
}

func (m *model) legalGiver() error {
	for m.held == 0 {
		in, err := m.recv(patience)
		if err != nil {
			return err
		}
		if in.Type != zio.PAY {
			return fmt.Errorf("giver was sent %s", in.Label)
		}
		m.held += in.Credit
	}
	m.held--
	m.said = append(m.said, "DAT")
	return m.send(datMessage([]byte("data")))
}

// offend says one of these and waits for the EOT.
func (m *model) offend(offences []offence) (reason string, err error) {
	o := offences[m.rng.IntN(len(offences))]
	for o.native && m.via == viaGRPC {
		o = offences[m.rng.IntN(len(offences))]
	}
	m.said = append(m.said, o.name)
	if err := m.send(o.message(m)); err != nil {
		return "", err
	}
	for {
		in, err := m.recv(patience)
		switch {
		case err != nil && m.via == viaGRPC && !isTimeout(err):
			return "gRPC status", nil // a stream may end so
		case err != nil:
			return "", fmt.Errorf("waiting for an EOT: %w", err)
		case in.Type == zio.EOT && !slices.Contains(o.wanted, in.end.Reason):
			return "", fmt.Errorf("EOT says %s, want one of %v", in.Label, o.wanted)
		case in.Type == zio.EOT:
			return in.end.Reason, nil
		}
	}
}
