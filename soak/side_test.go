//go:build soak

package soak

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"time"

	"github.com/zioflow/gateway/broker/zio"
)

// errWrong is wrapped by what no failure excuses: lost, doubled, reordered or
// altered data.
var errWrong = errors.New("data is wrong")

// side is one side of a flow on any transport. It numbers the DATs it gives,
// and checks those it takes. One goroutine uses it at a time.
type side struct {
	peer
	pair   uint64 // joins both sides; stands in every DAT
	gives  bool
	credit int64  // agreed
	held   int64  // a giver's to spend, a taker's to pay
	count  uint64 // DATs given or taken
	bytes  int64
	room   []byte
}

// begin sends the side's BOT and waits for the answer.
func (s *side) begin(credit int64, cid uint64, attributes string) error {
	if err := s.bot(credit, cid, attributes); err != nil {
		return err
	}
	return s.settle(patience)
}

// bot sends the side's BOT.
func (s *side) bot(credit int64, cid uint64, attributes string) error {
	direction := zio.Inject
	if s.gives {
		direction = zio.Extract
	}
	return s.send(botMessage(direction, credit, cid, attributes))
}

// settle waits for the answer to the BOT.
func (s *side) settle(wait time.Duration) error {
	m, err := s.recv(wait)
	switch {
	case err != nil:
		return fmt.Errorf("waiting for BOT: %w", err)
	case m.Type == zio.EOT:
		return m.over()
	case m.Type != zio.BOT:
		return fmt.Errorf("BOT was answered by %s", m.Label)
	}
	s.credit = m.Credit
	if !s.gives {
		s.held = s.credit
	}
	return nil
}

// step gives or takes one DAT of that size. After an EOT the error is io.EOF or
// an *native.EndError.
func (s *side) step(size int, wait time.Duration) error {
	if s.gives {
		return s.give(size, wait)
	}
	return s.take(wait)
}

// give gives one DAT, once there is credit.
func (s *side) give(size int, wait time.Duration) error {
	for {
		look := wait
		if s.held > 0 {
			look = 0
		}
		m, err := s.recv(look)
		switch {
		case isTimeout(err) && s.held > 0:
			s.held--
			return s.dat(size)
		case err != nil:
			return err
		case m.Type == zio.EOT:
			return m.over()
		case m.Type == zio.PAY:
			s.held += m.Credit
		default:
			return fmt.Errorf("giver was sent %s", m.Label)
		}
	}
}

// dat sends the next DAT, credit or not.
func (s *side) dat(size int) error {
	s.room = fill(s.room, s.pair, s.count, size)
	s.count++
	s.bytes += int64(len(s.room))
	payload := s.room
	if _, native := s.peer.(*nativePeer); !native {
		s.room = nil // gRPC may still read it
	}
	return s.send(datMessage(payload))
}

// take pays what it can and takes one DAT.
func (s *side) take(wait time.Duration) error {
	if s.held > 0 && s.held*4 >= s.credit {
		if err := s.send(payMessage(s.held)); err != nil {
			return err
		}
		s.held = 0
	}
	m, err := s.recv(wait)
	switch {
	case err != nil:
		return err
	case m.Type == zio.EOT:
		return m.over()
	case m.Type != zio.DAT:
		return fmt.Errorf("taker was sent %s", m.Label)
	}
	s.held++
	if err := check(m.Payload, s.pair, s.count); err != nil {
		return err
	}
	s.count++
	s.bytes += int64(m.Size())
	return nil
}

// finish says EOT and waits for the other side's; what comes before is dropped,
// but checked.
func (s *side) finish(wait time.Duration) error {
	if err := s.send(eotMessage()); err != nil {
		return err
	}
	for {
		m, err := s.recv(wait)
		switch {
		case err != nil:
			return fmt.Errorf("waiting for EOT: %w", err)
		case m.Type == zio.EOT && m.end.Reason == "":
			return nil
		case m.Type == zio.EOT:
			return m.over()
		case m.Type == zio.DAT && !s.gives:
			if err := check(m.Payload, s.pair, s.count); err != nil {
				return err
			}
			s.count++
		}
	}
}

// untilEnd moves data until an EOT or an error, which it answers. It answers an
// EOT that asks for it.
func (s *side) untilEnd(size int, wait time.Duration) error {
	for {
		if err := s.step(size, wait); err != nil {
			if errors.Is(err, io.EOF) {
				_ = s.send(eotMessage()) // who has left needs no answer
			}
			return err
		}
	}
}

// A payload is pair, number and checksum, then bytes that depend on the number.
const headSize = 20

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	filler     = func() []byte {
		b := make([]byte, 4<<10)
		for i := range b {
			b[i] = byte(i*7 + i>>8)
		}
		return b
	}()
)

// fill makes the n-th payload of a pair, in room if that is large enough.
func fill(room []byte, pair, n uint64, size int) []byte {
	size = max(size, headSize)
	if cap(room) < size {
		room = make([]byte, size)
	}
	b := room[:size]
	binary.LittleEndian.PutUint64(b, pair)
	binary.LittleEndian.PutUint64(b[8:], n)
	for rest, from := b[headSize:], int(n%1000); len(rest) > 0; from = 0 {
		rest = rest[copy(rest, filler[from:]):]
	}
	binary.LittleEndian.PutUint32(b[16:], crc32.Checksum(b[headSize:], castagnoli))
	return b
}

// check tells what is wrong with the n-th payload of a pair.
func check(payload [][]byte, pair, n uint64) error {
	if len(payload) != 1 || len(payload[0]) < headSize {
		return fmt.Errorf("%w: %d parts", errWrong, len(payload))
	}
	b := payload[0]
	gotPair, got := binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])
	switch {
	case gotPair != pair:
		return fmt.Errorf("%w: message of pair %d came to pair %d", errWrong, gotPair, pair)
	case got != n:
		return fmt.Errorf("%w: message %d came where %d was due", errWrong, got, n)
	case crc32.Checksum(b[headSize:], castagnoli) != binary.LittleEndian.Uint32(b[16:]):
		return fmt.Errorf("%w: message %d has another checksum", errWrong, n)
	}
	return nil
}
