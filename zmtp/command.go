package zmtp

import (
	"encoding/binary"
	"time"
)

// The commands that this package knows by name.
const (
	cmdReady    = "READY"
	cmdError    = "ERROR"
	cmdPing     = "PING"
	cmdPong     = "PONG"
	cmdHello    = "HELLO"
	cmdWelcome  = "WELCOME"
	cmdInitiate = "INITIATE"
	cmdMessage  = "MESSAGE"
)

// Limits of commands (RFC 23, RFC 37).
const (
	MaxReason  = 255 // bytes of an ERROR's reason
	MaxContext = 16  // bytes of a PING's context
)

var (
	errNoCommand   = protocolError("a command frame has no command name")
	errCommandName = protocolError("a command's name is not made of letters")
	errShortPing   = protocolError("a PING has no TTL")
	errPingContext = protocolError("a PING's context is longer than 16 bytes")
	errShortError  = protocolError("an ERROR's reason is cut off")
)

// ParseCommand takes a command frame's body apart; data is a part of body. It
// does not allocate for the names that this package or libzmq knows.
func ParseCommand(body []byte) (name string, data []byte, err error) {
	if len(body) == 0 || body[0] == 0 || int(body[0]) > len(body)-1 {
		return "", nil, errNoCommand
	}
	end := 1 + int(body[0])
	name, known := knownName(body[1:end])
	if !known {
		for _, c := range body[1:end] {
			if (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
				return "", nil, errCommandName
			}
		}
		name = string(body[1:end])
	}
	return name, body[end:], nil
}

// knownName returns a constant, so that nothing is allocated.
func knownName(name []byte) (string, bool) {
	switch string(name) {
	case cmdPing:
		return cmdPing, true
	case cmdPong:
		return cmdPong, true
	case cmdReady:
		return cmdReady, true
	case cmdError:
		return cmdError, true
	case cmdHello:
		return cmdHello, true
	case cmdWelcome:
		return cmdWelcome, true
	case cmdInitiate:
		return cmdInitiate, true
	case cmdMessage:
		return cmdMessage, true
	case "SUBSCRIBE":
		return "SUBSCRIBE", true
	case "CANCEL":
		return "CANCEL", true
	case "JOIN":
		return "JOIN", true
	case "LEAVE":
		return "LEAVE", true
	case "DISCONNECT":
		return "DISCONNECT", true
	}
	return "", false
}

// AppendCommand appends the body of a command frame. The name must have 1 to
// 255 letters.
func AppendCommand(b []byte, name string, data []byte) []byte {
	b = append(b, byte(len(name)))
	b = append(b, name...)
	return append(b, data...)
}

// AppendPing appends a whole frame with a PING (RFC 37). The TTL is sent in
// tenths of seconds, rounded up and at most 6553.5 s; of the context only the
// first MaxContext bytes are sent. Under CURVE, what follows the frame's header
// of two bytes is sealed as a command.
func AppendPing(b []byte, ttl time.Duration, context []byte) []byte {
	context = context[:min(len(context), MaxContext)]
	const tenth = time.Second / 10
	tenths := max(0, min(65535, ttl/tenth))
	if ttl > tenths*tenth && tenths < 65535 {
		tenths++
	}
	b = append(b, flagCommand, byte(1+len(cmdPing)+2+len(context)), byte(len(cmdPing)))
	b = append(b, cmdPing...)
	b = binary.BigEndian.AppendUint16(b, uint16(tenths))
	return append(b, context...)
}

// AppendPong appends a whole frame with a PONG: the answer to a PING with that
// context, of which only the first MaxContext bytes are sent.
func AppendPong(b []byte, context []byte) []byte {
	context = context[:min(len(context), MaxContext)]
	b = append(b, flagCommand, byte(1+len(cmdPong)+len(context)), byte(len(cmdPong)))
	b = append(b, cmdPong...)
	return append(b, context...)
}

// AppendError appends a whole frame with an ERROR. The reason is cut at
// MaxReason bytes and made printable. ERROR may be sent during a handshake, in
// place of what is due, except by CURVE's client. It is final: libzmq does not
// connect again after one, whatever the reason, but does after a mere close.
func AppendError(b []byte, reason string) []byte {
	reason = printable(reason)
	b = AppendHeader(b, Header{Command: true, Size: uint64(1 + len(cmdError) + 1 + len(reason))})
	b = append(b, byte(len(cmdError)))
	b = append(b, cmdError...)
	b = append(b, byte(len(reason)))
	return append(b, reason...)
}

// ParsePing reads a PING's data. context is a part of data.
func ParsePing(data []byte) (ttl time.Duration, context []byte, err error) {
	if len(data) < 2 {
		return 0, nil, errShortPing
	}
	if len(data) > 2+MaxContext {
		return 0, nil, errPingContext
	}
	return time.Duration(binary.BigEndian.Uint16(data)) * (time.Second / 10), data[2:], nil
}

// ParseError reads an ERROR's data and returns the reason as the peer sent it,
// at most MaxReason bytes of anything.
func ParseError(data []byte) (reason string, err error) {
	if len(data) == 0 || int(data[0]) > len(data)-1 {
		return "", errShortError
	}
	return string(data[1 : 1+int(data[0])]), nil
}
