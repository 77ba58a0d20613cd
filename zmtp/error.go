package zmtp

import (
	"errors"
	"strconv"
	"strings"
)

// Cause is why a handshake failed or a peer's bytes are no ZMTP.
type Cause uint8

// The causes. Their numbers may change; their words are for metrics.
const (
	_               Cause = iota
	CauseForeign          // no ZeroMQ peer: HTTP, TLS, anything
	CauseVersion          // ZMTP before 3.0
	CauseMechanism        // not the security mechanism that is configured here
	CauseSocketType       // a socket type that ours does not speak to
	CauseKey              // CURVE: a box that the keys do not open
	CauseRefused          // Authorize said no, or the peer sent ERROR
	CauseProtocol         // bytes that break the protocol
)

// String is one word.
func (c Cause) String() string {
	switch c {
	case CauseForeign:
		return "foreign"
	case CauseVersion:
		return "version"
	case CauseMechanism:
		return "mechanism"
	case CauseSocketType:
		return "socket_type"
	case CauseKey:
		return "key"
	case CauseRefused:
		return "refused"
	case CauseProtocol:
		return "protocol"
	}
	return "unknown"
}

// Error is what this package's functions return as an error. Detail is text
// for a log, at most a few hundred bytes of printable ASCII, whatever the peer
// sent.
type Error struct {
	Cause  Cause
	Detail string

	err      error // what Authorize returned
	fromPeer bool  // it was the peer who sent ERROR
}

func (e *Error) Error() string { return "zmtp: " + e.Detail }

// Unwrap returns Authorize's error, if it was that.
func (e *Error) Unwrap() error { return e.err }

// asError is for errors of this package's own functions, which are no other.
func asError(err error) *Error {
	var own *Error
	if !errors.As(err, &own) {
		own = protocolError(err.Error())
	}
	return own
}

func protocolError(detail string) *Error { return &Error{Cause: CauseProtocol, Detail: detail} }

// maxQuoted is how much of a peer's text stands in an error.
const maxQuoted = 64

// quote cuts a peer's text and makes it printable.
func quote[T string | []byte](text T) string {
	if len(text) > maxQuoted {
		return strconv.QuoteToASCII(string(text[:maxQuoted])) + "..."
	}
	return strconv.QuoteToASCII(string(text))
}

// Reason is the text that a peer is told when it is refused with err: what
// err's method Reason() string returns if it, or one that it wraps, has such a
// method, else err.Error(). It has at most MaxReason bytes of printable ASCII.
func Reason(err error) string {
	var reasoned interface{ Reason() string }
	if errors.As(err, &reasoned) {
		return printable(reasoned.Reason())
	}
	return printable(err.Error())
}

// printable cuts a text at MaxReason bytes and replaces whatever is not
// printable ASCII.
func printable(text string) string {
	if len(text) > MaxReason {
		text = text[:MaxReason]
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, text)
}
