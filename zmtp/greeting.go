package zmtp

import (
	"bytes"
	"fmt"
	"slices"
)

// The greeting (RFC 37): signature, version, mechanism, as-server, filler.
const (
	greetingSize = 64

	atSignatureEnd = 9
	atMajor        = 10
	atMinor        = 11
	atMechanism    = 12
	atAsServer     = 32

	ourMajor, ourMinor = 3, 1
)

// appendGreeting appends ours. The eighth byte of the padding is 1, as libzmq
// has it: for a peer of ZMTP 1.0 the signature is then a message of one byte.
func appendGreeting(b []byte, mechanism Mechanism, asServer bool) []byte {
	var g [greetingSize]byte
	g[0], g[8], g[atSignatureEnd] = 0xff, 1, 0x7f
	g[atMajor], g[atMinor] = ourMajor, ourMinor
	copy(g[atMechanism:atAsServer], mechanism)
	if asServer {
		g[atAsServer] = 1
	}
	return append(b, g[:]...)
}

// checkPrefix refuses as early as the bytes allow: b is what has come of a
// greeting so far, at most greetingSize bytes. What it says depends on the
// stream only, not on how that was split.
func checkPrefix(b []byte) *Error {
	switch {
	case len(b) == 0:
		return nil
	case b[0] != 0xff:
		if len(b) < 2 {
			return nil // the second byte says what it is
		}
		return unsigned(b[0], b[1])
	case len(b) <= atSignatureEnd:
		return nil
	case b[atSignatureEnd] != 0x7f:
		if b[atSignatureEnd] <= flagMore {
			return oldVersion("1.0") // an identity of more than 254 bytes
		}
		return &Error{Cause: CauseForeign, Detail: "the peer does not speak ZeroMQ: its greeting has no signature"}
	case len(b) <= atMajor:
		return nil
	case b[atMajor] == 0:
		return oldVersion("1.0")
	case b[atMajor] < ourMajor:
		return oldVersion("2.0")
	}
	return nil
}

func oldVersion(version string) *Error {
	return &Error{Cause: CauseVersion, Detail: "the peer speaks ZMTP " + version + "; 3.0 and later is supported"}
}

// unsigned says what a stream is that begins with these two bytes and not with
// the signature's ff.
func unsigned(first, second byte) *Error {
	foreign := func(what string) *Error {
		return &Error{Cause: CauseForeign, Detail: "the peer does not speak ZeroMQ: it begins with " + what}
	}
	switch two := string([]byte{first, second}); {
	case first == 0x16 && second == 3:
		return foreign("a TLS handshake")
	case two == "SS":
		return foreign("SSH's banner")
	case slices.Contains([]string{"GE", "PO", "HE", "PU", "DE", "OP", "PA", "CO", "TR", "PR"}, two):
		return foreign("an HTTP request")
	case first != 0 && second <= flagMore:
		return oldVersion("1.0") // a short frame with its identity
	}
	return foreign(fmt.Sprintf("bytes %02x %02x", first, second))
}

// parseGreeting reads a whole greeting whose prefix has been checked.
func parseGreeting(g []byte, peer *Peer) (asServer bool, err *Error) {
	peer.Major, peer.Minor = g[atMajor], g[atMinor]
	mechanism, padding := g[atMechanism:atAsServer], []byte(nil)
	if i := bytes.IndexByte(mechanism, 0); i >= 0 {
		mechanism, padding = mechanism[:i], mechanism[i:]
	}
	for _, c := range mechanism {
		if c <= ' ' || c > '~' {
			return false, protocolError("the greeting's mechanism is not printable: " + quote(mechanism))
		}
	}
	if len(mechanism) == 0 || len(bytes.Trim(padding, "\x00")) > 0 {
		return false, protocolError("the greeting's mechanism is malformed: " + quote(g[atMechanism:atAsServer]))
	}
	if g[atAsServer] > 1 {
		return false, protocolError(fmt.Sprintf("the greeting's as-server is %d, neither 0 nor 1", g[atAsServer]))
	}
	peer.Mechanism = Mechanism(mechanism)
	return g[atAsServer] == 1, nil
}
