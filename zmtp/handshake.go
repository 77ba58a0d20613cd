package zmtp

import (
	"crypto/rand"
	"errors"
	"strconv"
)

// Limits of a handshake. What is legal stays far below them: CURVE's longest
// command is INITIATE, 257 bytes and the properties.
const (
	// MaxHandshakeCommand bounds the body of one command.
	MaxHandshakeCommand = 4096
	// MaxHandshake bounds what is taken from a peer until READY: the greeting
	// and the two commands that a mechanism has at most in one direction.
	MaxHandshake = greetingSize + 2*(MaxHeader+MaxHandshakeCommand)
)

// Peer is what the other end of a connection has said about itself. Until the
// handshake is done nothing of it is proved.
type Peer struct {
	Major, Minor byte // of its ZMTP version; PING is for 3.1 and later
	Mechanism    Mechanism
	Type         SocketType
	Identity     string   // at most MaxIdentity bytes of anything; often empty
	Key          [32]byte // its long-term public key; zero under NULL
}

// Pings tells whether the peer knows PING and PONG, which came with ZMTP 3.1.
func (p *Peer) Pings() bool { return p.Major > 3 || p.Major == 3 && p.Minor >= 1 }

// Handshake takes one connection from its greeting to READY. It is not for
// concurrent use.
type Handshake struct {
	config    *Config
	mechanism mechanism
	peer      *Peer  // by itself, so that who keeps it keeps no keys
	part      []byte // of a greeting or command that has not come whole
	greeted   bool   // the peer's greeting fits ours
	done      bool
	session   *Session
	failed    *Error
	random    func([]byte) // fills with random bytes
}

// mechanism is what differs between NULL and CURVE, and between the ends.
type mechanism interface {
	// begin appends what is sent once the greetings fit.
	begin(h *Handshake, out []byte) ([]byte, *Error)
	// waits is the command that has to come next.
	waits() string
	// receive takes that command's data and appends what is sent then. With the
	// last one it sets h.done.
	receive(h *Handshake, out, data []byte) ([]byte, *Error)
	// mayRefuse tells whether an ERROR may be sent.
	mayRefuse() bool
}

// NewHandshake returns the handshake of one new connection. c must be valid;
// see [Config.Validate].
func NewHandshake(c *Config) *Handshake {
	h := &Handshake{config: c, peer: new(Peer), random: func(b []byte) { _, _ = rand.Read(b) }} // it never fails
	switch {
	case c.Curve == nil:
		h.mechanism = null{}
	case c.AsServer:
		h.mechanism = &curveServer{}
	default:
		h.mechanism = &curveClient{}
	}
	return h
}

// Start returns what is to be sent at once: our greeting.
func (h *Handshake) Start() []byte {
	return appendGreeting(make([]byte, 0, greetingSize), h.config.mechanism(), h.config.AsServer && h.config.Curve != nil)
}

// Receive takes bytes of the peer. It returns how many of them it has used,
// which are never any beyond the handshake's end, and what is to be sent. After
// an error, always an *Error, out holds what may still be sent, and the
// connection is to be closed; every later call returns the same error. in is
// not kept.
func (h *Handshake) Receive(in []byte) (consumed int, out []byte, err error) {
	for !h.done && h.failed == nil {
		unit, n, fault := h.next(in[consumed:])
		consumed += n
		if fault == nil && unit == nil {
			break
		}
		if fault == nil {
			out, fault = h.step(out, unit)
			h.part = h.part[:0]
		}
		if fault != nil {
			h.failed = fault
			out = h.refuse(out)
		}
	}
	if h.done || h.failed != nil {
		h.part, h.mechanism = nil, nil // with the keys in it
	}
	if h.failed != nil {
		return consumed, out, h.failed
	}
	return consumed, out, nil
}

// next takes bytes until a greeting or a command's frame is whole, and returns
// it, or nil. n is how many bytes it has taken.
func (h *Handshake) next(in []byte) (unit []byte, n int, err *Error) {
	for {
		have := h.part
		if len(have) == 0 {
			have = in // what has come whole is used where it lies
		}
		size, err := h.want(have)
		switch {
		case err != nil:
			return nil, n, err
		case len(h.part) == 0 && len(in) >= size:
			return in[:size], size, nil
		case len(h.part) == size:
			return h.part, n, nil
		case n == len(in):
			return nil, n, nil
		}
		take := min(size-len(h.part), len(in)-n)
		h.part = append(h.part, in[n:n+take]...)
		n += take
	}
}

// want returns the size of the greeting or the frame that begins with have, or
// when that is too little to tell, a size that is greater than len(have). It
// refuses as early as the bytes allow, and depends on the stream only, not on
// how it was split.
func (h *Handshake) want(have []byte) (int, *Error) {
	if !h.greeted {
		return greetingSize, checkPrefix(have[:min(len(have), greetingSize)])
	}
	if len(have) == 0 {
		return 1, nil
	}
	if _, _, err := ParseHeader(have[:1]); err != nil {
		return 0, asError(err)
	}
	if have[0]&flagCommand == 0 {
		return 0, protocolError("the peer sends a message, not " + h.mechanism.waits())
	}
	header, n, err := ParseHeader(have)
	switch {
	case err != nil:
		return 0, asError(err)
	case n == 0:
		return len(have) + 1, nil
	case header.Size > MaxHandshakeCommand:
		return 0, protocolError("a command of the handshake has " + strconv.FormatUint(header.Size, 10) +
			" bytes, more than " + strconv.Itoa(MaxHandshakeCommand))
	}
	return n + int(header.Size), nil
}

// step takes a whole greeting or command frame.
func (h *Handshake) step(out, unit []byte) ([]byte, *Error) {
	if !h.greeted {
		return h.greet(out, unit)
	}
	_, n, _ := ParseHeader(unit)
	name, data, err := ParseCommand(unit[n:])
	if err != nil {
		return out, asError(err)
	}
	if name == cmdError {
		return out, refusedByPeer(data)
	}
	if name != h.mechanism.waits() {
		return out, protocolError("the peer sends " + quote(name) + ", not " + h.mechanism.waits())
	}
	return h.mechanism.receive(h, out, data)
}

// greet compares the greetings. That neither end is CURVE's server cannot be
// seen: libzmq never sets as-server (RFC 37 asks for it).
func (h *Handshake) greet(out, greeting []byte) ([]byte, *Error) {
	asServer, err := parseGreeting(greeting, h.peer)
	if err != nil {
		return out, err
	}
	h.greeted = true
	ours := h.config.mechanism()
	if h.peer.Mechanism != ours {
		return out, &Error{Cause: CauseMechanism, Detail: "the peer wants " + quote(string(h.peer.Mechanism)) + ", not " + string(ours)}
	}
	if ours == Curve && asServer && h.config.AsServer {
		return out, protocolError("both ends take CURVE's server role")
	}
	return h.mechanism.begin(h, out)
}

func refusedByPeer(data []byte) *Error {
	reason, err := ParseError(data)
	if err != nil {
		return asError(err)
	}
	return &Error{Cause: CauseRefused, Detail: "the peer refuses: " + quote(reason), fromPeer: true}
}

// refuse appends the ERROR that tells the peer why, if one may be sent: not
// before a greeting that fits, not in return for an ERROR, and not by CURVE's
// client, which has no such command.
func (h *Handshake) refuse(out []byte) []byte {
	if !h.greeted || h.failed.fromPeer || errors.Is(h.failed.err, ErrTryLater) || !h.mechanism.mayRefuse() {
		return out
	}
	switch h.failed.Cause {
	case CauseMechanism:
		return AppendError(out, "Invalid mechanism, "+string(h.config.mechanism())+" is required")
	case CauseSocketType:
		return AppendError(out, "Invalid socket type")
	case CauseKey:
		return AppendError(out, "Invalid key")
	case CauseRefused:
		return AppendError(out, Reason(h.failed.err))
	}
	return AppendError(out, "Protocol error")
}

// Done tells whether the handshake has succeeded: everything that Receive has
// not consumed is traffic.
func (h *Handshake) Done() bool { return h.done }

// Peer is complete when Done; before that it has what is known so far. It is
// not nil.
func (h *Handshake) Peer() *Peer { return h.peer }

// Session is the cipher of what follows a CURVE handshake that is Done. It is
// nil under NULL, and before.
func (h *Handshake) Session() *Session { return h.session }

// Waiting is what the handshake needs next of the peer, for a log when the
// connection ends or takes too long: "greeting", the name of a command, or ""
// when it is over. A CURVE client that is left waiting for WELCOME has most
// likely the wrong key of the server: libzmq then closes without a word.
func (h *Handshake) Waiting() string {
	switch {
	case h.done || h.failed != nil:
		return ""
	case !h.greeted:
		return "greeting"
	}
	return h.mechanism.waits()
}

// admit checks the properties of the peer's READY or INITIATE.
func (h *Handshake) admit(properties []byte) *Error {
	if err := parseProperties(properties, h.peer); err != nil {
		return err
	}
	if !h.config.Type.Accepts(h.peer.Type) {
		return &Error{Cause: CauseSocketType, Detail: "the peer is " + quote(string(h.peer.Type)) +
			", which " + string(h.config.Type) + " does not speak to"}
	}
	return nil
}

// authorize asks the configuration whether the peer is let in.
func (h *Handshake) authorize() *Error {
	if !h.config.AsServer || h.config.Authorize == nil {
		return nil
	}
	if err := h.config.Authorize(h.peer); err != nil {
		return &Error{Cause: CauseRefused, Detail: "the peer is refused: " + printable(err.Error()), err: err}
	}
	return nil
}
