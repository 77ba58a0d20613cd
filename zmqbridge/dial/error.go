package dial

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"

	"github.com/zioflow/gateway/zmtp"
)

// ErrClosed is returned by calls on a Conn that was closed.
var ErrClosed = errors.New("the connection was closed here")

// Cause is why there is no connection, in one word.
type Cause string

// The causes. Those before Left are of connections that were never made, those from
// Lost on of connections that were.
const (
	Unreachable Cause = "unreachable" // nobody listens there, no such host or path, no way there, no right
	Foreign     Cause = "foreign"     // what listens there does not speak ZeroMQ
	Version     Cause = "version"     // it speaks ZMTP before 3.0
	Mechanism   Cause = "mechanism"   // one end wants CURVE, the other does not
	SocketType  Cause = "socket_type" // a CLIENT that came to no SERVER, a DEALER to no ROUTER
	Key         Cause = "key"         // CURVE: the keys do not fit
	Refused     Cause = "refused"     // the peer has said no, and why
	Slow        Cause = "slow"        // a handshake that was not over in time
	Left        Cause = "left"        // closed during the handshake, without a word

	Lost     Cause = "lost"      // the peer has closed, or the network has failed
	Silent   Cause = "silent"    // no answer to a heartbeat
	Stalled  Cause = "stalled"   // the peer takes nothing
	Protocol Cause = "protocol"  // bytes that break ZMTP
	TooLarge Cause = "too_large" // a message beyond the limits
	Panic    Cause = "panic"     // an error of this program; Unwrap has the stack
)

// Error is why there is no connection, or why there is none any more.
type Error struct {
	Cause   Cause
	Address string
	// Detail is text for people: printable and a few hundred bytes at most.
	Detail string
	// Unsent is how many messages were accepted by Send and did not leave whole,
	// UnsentBytes their size. Sent are those before them, which were handed to the
	// system: of the last of them nobody knows whether they have arrived.
	Unsent, UnsentBytes int
	Sent                uint64

	err error
}

func (e *Error) Error() string {
	text := e.Address + ": " + e.Detail
	switch {
	case e.Unsent == 1:
		text += fmt.Sprintf("; 1 message was not sent (%d bytes)", e.UnsentBytes)
	case e.Unsent > 1:
		text += fmt.Sprintf("; %d messages were not sent (%d bytes)", e.Unsent, e.UnsentBytes)
	}
	return text
}

// Unwrap returns the error of package net or zmtp behind it, if there is one.
func (e *Error) Unwrap() error { return e.err }

// Final tells whether it is of little use to try again before somebody has changed
// something, here or there.
func (e *Error) Final() bool {
	switch e.Cause {
	case Foreign, Version, Mechanism, SocketType, Key, Refused:
		return true
	}
	return false
}

// unreachable is why a connection could not be made.
func unreachable(o *Options, err error) *Error {
	e := &Error{Cause: Unreachable, Address: o.Address, err: err}
	name, lookup := errors.AsType[*net.DNSError](err)
	switch {
	case lookup && name.IsNotFound:
		e.Detail = "there is no host of that name"
	case lookup:
		e.Detail = fmt.Sprintf("the host's name could not be looked up: %.100s", name.Err)
	case isTimeout(err):
		e.Detail = fmt.Sprintf("nobody has answered within %v", o.Connect)
	case errors.Is(err, syscall.ECONNREFUSED):
		e.Detail = "nobody listens there: connection refused"
	default:
		e.Detail = reasonOf(err)
	}
	return e
}

// isTimeout tells whether a deadline was over.
func isTimeout(err error) bool {
	timed, ok := errors.AsType[net.Error](err)
	return ok && timed.Timeout()
}

// reasonOf is an error of package net without what the address says already.
func reasonOf(err error) string {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		err = op.Err
	}
	if call, ok := errors.AsType[*os.SyscallError](err); ok {
		err = call.Err
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return "the peer has closed it"
	}
	text := err.Error()
	return text[:min(len(text), 200)]
}

// causes of zmtp's errors.
var causes = map[zmtp.Cause]Cause{
	zmtp.CauseForeign: Foreign, zmtp.CauseVersion: Version, zmtp.CauseMechanism: Mechanism,
	zmtp.CauseSocketType: SocketType, zmtp.CauseKey: Key, zmtp.CauseRefused: Refused, zmtp.CauseProtocol: Protocol,
}

// shakeError is why a handshake has failed; first is how the peer began.
func shakeError(o *Options, h *zmtp.Handshake, waiting string, first []byte, err error) *Error {
	e := &Error{Address: o.Address, err: err}
	fault, isFault := errors.AsType[*zmtp.Error](err)
	switch {
	case isFault:
		e.Cause, e.Detail = causes[fault.Cause], fault.Detail
		if what := foreign(first); e.Cause == Foreign && what != "" {
			e.Detail = "what listens there is no ZeroMQ endpoint but " + what
		}
		if e.Cause == Mechanism {
			e.Detail = fmt.Sprintf("the peer asks for %.20q, this end for %s", h.Peer().Mechanism, mechanism(o))
		}
		if status := zapStatus.FindStringSubmatch(e.Detail); e.Cause == Refused && status != nil {
			e.Detail = "the access control of the peer says no, status " + status[1]
		}
	case isTimeout(err) && waiting == "greeting":
		e.Cause, e.Detail = Slow, fmt.Sprintf("no greeting has come within %v: what listens there may not speak ZeroMQ", o.Handshake)
	case isTimeout(err):
		e.Cause, e.Detail = Slow, fmt.Sprintf("the handshake was not over after %v: %s has not come", o.Handshake, waiting)
	default:
		e.Cause, e.Detail = Left, "during the handshake the connection was closed without a word: "+likely(o, waiting, first)
	}
	return e
}

// zapStatus is what libzmq sends as the reason when ZAP (RFC 27) says no.
var zapStatus = regexp.MustCompile(`"([345]00)"$`)

func mechanism(o *Options) zmtp.Mechanism {
	if o.Curve != nil {
		return zmtp.Curve
	}
	return zmtp.Null
}

// likely is why an end closes a connection when it should send what is waited for.
func likely(o *Options, waiting string, first []byte) string {
	asks, ask := "asks for CURVE", "ask for CURVE"
	if o.Curve != nil {
		asks, ask = "does not ask for CURVE", "not "+ask
	}
	switch {
	case waiting == "greeting" && strings.HasPrefix(string(first), "\xff"):
		// libzmq sends the rest of its greeting when it has seen the mechanism.
		return "the peer speaks ZeroMQ, but most likely " + asks
	case waiting == "greeting":
		return "what listens there may not speak ZeroMQ, or " + ask + ", or take no further connection"
	case waiting == "WELCOME":
		return "the server's public key is most likely another than the one that was given"
	case o.Curve != nil:
		return "the peer most likely does not let this end's public key in"
	default:
		return "the peer may ask for CURVE, or be no socket that " + string(o.Type) + " speaks to, or be busy"
	}
}

// foreign names what begins so; empty if it is not known.
func foreign(first []byte) string {
	is := func(prefix string) bool { return strings.HasPrefix(string(first), prefix) }
	switch {
	case len(first) >= 9 && is("\x00\x00") && string(first[3:9]) == "\x04\x00\x00\x00\x00\x00":
		return "HTTP/2, as gRPC has it"
	case is("HTTP/"):
		return "HTTP"
	case is("\x15\x03"):
		return "TLS, as gRPC may have it"
	case is("SSH-"):
		return "SSH"
	case len(first) > 0:
		return "something that begins with " + strconv.QuoteToASCII(string(first[:min(len(first), 16)]))
	}
	return ""
}
