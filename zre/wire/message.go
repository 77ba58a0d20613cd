package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Command is what a message says.
type Command byte

// The commands. Whatever else comes, such as Zyre's ELECT, is passed over.
const (
	Hello   Command = 1
	Whisper Command = 2
	Shout   Command = 3
	Join    Command = 4
	Leave   Command = 5
	Ping    Command = 6
	PingOK  Command = 7
)

const (
	signature = 0xaaa1
	version   = 2
)

// Bounds of a HELLO. What a node announces for hundreds of ports stays below them.
const (
	// MaxMessage is the size, in bytes, of a message's first part; of others only
	// their number of bytes is looked at.
	MaxMessage = 32 << 10
	MaxGroups  = 1000
	MaxHeaders = 1000
	// maxString is what a length of one byte allows.
	maxString = 255
)

// Message is the first part of a message. What follows a WHISPER or SHOUT is its
// content, which is none of this package's.
type Message struct {
	Command  Command
	Sequence uint16

	// Of a HELLO. Groups are read past and not kept: this node joins none.
	Endpoint, Name string
	Headers        map[string]string
}

// Why a message is refused.
var (
	ErrMessage = errors.New("this is no message")
	ErrVersion = errors.New("the message has another version than 2")
	ErrBounds  = errors.New("the HELLO is beyond the bounds")
)

// ParseMessage reads the first part of a message. Nothing in the result refers to it.
func ParseMessage(part []byte) (m Message, err error) {
	switch {
	case len(part) > MaxMessage:
		return m, fmt.Errorf("%w: %d bytes, more than %d", ErrBounds, len(part), MaxMessage)
	case len(part) < 6 || binary.BigEndian.Uint16(part) != signature:
		return m, ErrMessage
	case part[3] != version:
		return m, ErrVersion
	}
	m.Command, m.Sequence = Command(part[2]), binary.BigEndian.Uint16(part[4:])
	if m.Command == Hello {
		r := reader{rest: part[6:]}
		r.hello(&m)
		err = r.err
	}
	return m, err
}

// reader reads a message's fields. After the first error all are empty.
type reader struct {
	rest []byte
	err  error
}

func (r *reader) hello(m *Message) {
	m.Endpoint = r.text(1)
	for range r.count("groups", MaxGroups, 4) {
		r.take(4)
	}
	r.number(1) // the status counts the groups that it joins and leaves
	m.Name = r.text(1)
	n := r.count("headers", MaxHeaders, 5)
	if n > 0 {
		m.Headers = make(map[string]string, n)
	}
	for range n {
		key := r.text(1)
		m.Headers[key] = r.text(4)
	}
	if r.err != nil {
		*m = Message{Command: m.Command, Sequence: m.Sequence}
	}
}

// number reads a number of that many bytes.
func (r *reader) number(size int) (n int64) {
	if len(r.rest) < size {
		r.fail(ErrMessage)
		return 0
	}
	for _, b := range r.rest[:size] {
		n = n<<8 | int64(b)
	}
	r.rest = r.rest[size:]
	return n
}

// count reads a number of entries, each of which has so many bytes at least.
func (r *reader) count(what string, most, least int64) int64 {
	n := r.number(4)
	switch {
	case n > most:
		r.fail(fmt.Errorf("%w: %d %s, more than %d", ErrBounds, n, what, most))
		return 0
	case n*least > int64(len(r.rest)):
		r.fail(ErrMessage)
		return 0
	}
	return n
}

// take reads a string whose length has that many bytes.
func (r *reader) take(size int) []byte {
	n := r.number(size)
	if n > int64(len(r.rest)) {
		r.fail(ErrMessage)
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

// text is take that keeps the string, as valid UTF-8: gRPC carries nothing else.
func (r *reader) text(size int) string { return strings.ToValidUTF8(string(r.take(size)), "\ufffd") }

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err, r.rest = err, nil
	}
}

// Append appends a message as its first part. A HELLO must be one that CheckHello
// accepts.
func (m Message) Append(to []byte) []byte {
	to = binary.BigEndian.AppendUint16(to, signature)
	to = append(to, byte(m.Command), version)
	to = binary.BigEndian.AppendUint16(to, m.Sequence)
	if m.Command != Hello {
		return to
	}
	to = appendShort(to, m.Endpoint)
	to = append(to, 0, 0, 0, 0, 0) // no groups, status 0
	to = appendShort(to, m.Name)
	to = binary.BigEndian.AppendUint32(to, uint32(len(m.Headers)))
	for _, key := range slices.Sorted(maps.Keys(m.Headers)) {
		to = appendShort(to, key)
		to = binary.BigEndian.AppendUint32(to, uint32(len(m.Headers[key])))
		to = append(to, m.Headers[key]...)
	}
	return to
}

func appendShort(to []byte, s string) []byte { return append(append(to, byte(len(s))), s...) }

// CheckHello says why other nodes could not read a name and headers (PEER-3). Some
// count characters where others count bytes, so that all is ASCII.
func CheckHello(name string, headers map[string]string) error {
	if err := checkText("the name", name, maxString); err != nil {
		return err
	}
	size := 0
	for key, value := range headers {
		if err := checkText("a header's key", key, maxString); err != nil {
			return err
		}
		if err := checkText("the header "+key, value, MaxMessage); err != nil {
			return err
		}
		size += 5 + len(key) + len(value)
	}
	const rest = 1 << 10 // for the endpoint, name and numbers
	if len(headers) > MaxHeaders || size > MaxMessage-rest {
		return fmt.Errorf("%d headers have %d bytes; %d and %d are allowed", len(headers), size, MaxHeaders, MaxMessage-rest)
	}
	return nil
}

func checkText(what, text string, most int) error {
	if len(text) > most {
		return fmt.Errorf("%s has %d bytes, more than %d", what, len(text), most)
	}
	for _, c := range []byte(text) {
		if c < ' ' || c > '~' {
			return fmt.Errorf("%s has a character that is not printable ASCII", what)
		}
	}
	return nil
}
