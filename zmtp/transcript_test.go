package zmtp

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
)

// transcript is one connection between an end of ours and one of libzmq, byte
// for byte. capture_test.go writes them.
type transcript struct {
	config Config
	peer   Peer   // what we know of libzmq's end when the handshake is done
	fails  string // the cause, if it does not succeed
	random []byte // what our end took
	lines  []line
}

// line is what libzmq sent at a time, and what we sent at once in return.
type line struct{ received, sent []byte }

// speaker is our end of a transcript. When the handshake is done, it sends a
// PING, and one that has connected also a message. After that it returns every
// message to its sender, and answers every PING.
type speaker struct {
	h        *Handshake
	random   []byte // if not nil, what is still to be taken
	took     []byte
	unread   []byte
	started  bool
	messages [][]byte // bodies of the frames that have come
	pings    int
	pongs    [][]byte // their contexts
}

const pingContext = "0123456789abcdef"

func newSpeaker(c *Config, random []byte) *speaker {
	s := &speaker{h: NewHandshake(c), random: random}
	fill := s.h.random
	s.h.random = func(b []byte) {
		if s.random == nil {
			fill(b)
		} else {
			s.random = s.random[copy(b, s.random):]
		}
		s.took = append(s.took, b...)
	}
	return s
}

// receive takes bytes and returns what is sent.
func (s *speaker) receive(in []byte) ([]byte, error) {
	n, out, err := s.h.Receive(in)
	if err != nil || !s.h.Done() {
		return out, err
	}
	s.unread = append(s.unread, in[n:]...)
	if !s.started {
		s.started = true
		out = s.begin(out)
	}
	for {
		header, n, err := ParseHeader(s.unread)
		if err != nil {
			return out, err
		}
		if n == 0 || uint64(len(s.unread)-n) < header.Size {
			return out, nil
		}
		body := s.unread[n : n+int(header.Size)]
		s.unread = s.unread[n+int(header.Size):]
		if out, err = s.frame(out, header, body); err != nil {
			return out, err
		}
	}
}

func (s *speaker) begin(out []byte) []byte {
	ping := AppendPing(nil, time.Minute, []byte(pingContext))
	out = s.send(out, Header{Command: true}, ping[2:])
	switch s.h.config.Type {
	case Dealer:
		out = s.send(out, Header{More: true}, nil)
		return s.send(out, Header{}, []byte("hello"))
	case Client:
		return s.send(out, Header{}, []byte("hello"))
	}
	return out
}

func (s *speaker) send(out []byte, h Header, body []byte) []byte {
	if session := s.h.Session(); session != nil {
		return session.Seal(out, h, body)
	}
	h.Size = uint64(len(body))
	return append(AppendHeader(out, h), body...)
}

func (s *speaker) frame(out []byte, h Header, body []byte) ([]byte, error) {
	if session := s.h.Session(); session != nil {
		var err error
		if h, body, err = session.Open(nil, body); err != nil {
			return out, err
		}
	}
	if !h.Command {
		s.messages = append(s.messages, bytes.Clone(body))
		return s.send(out, h, body), nil
	}
	name, data, err := ParseCommand(body)
	if err != nil {
		return out, err
	}
	switch name {
	case "PING":
		_, context, err := ParsePing(data)
		s.pings++
		return s.send(out, h, AppendPong(nil, context)[2:]), err
	case "PONG":
		s.pongs = append(s.pongs, bytes.Clone(data))
		return out, nil
	}
	return out, fmt.Errorf("a %s in traffic", name)
}

func (t *transcript) String() string {
	var b strings.Builder
	field := func(name string, value any) { fmt.Fprintf(&b, "%s %v\n", name, value) }
	field("ours", t.config.Type)
	if t.config.Identity != "" {
		field("identity", t.config.Identity)
	}
	field("as-server", t.config.AsServer)
	if k := t.config.Curve; k != nil {
		field("public", hex.EncodeToString(k.Public[:]))
		field("secret", hex.EncodeToString(k.Secret[:]))
		field("server", hex.EncodeToString(k.Server[:]))
		field("random", hex.EncodeToString(t.random))
	}
	if t.fails != "" {
		field("fails", t.fails)
	} else {
		field("peer", t.peer.Type)
		if t.peer.Identity != "" {
			field("peer-identity", t.peer.Identity)
		}
		if t.config.Curve != nil {
			field("peer-key", hex.EncodeToString(t.peer.Key[:]))
		}
	}
	for _, l := range t.lines {
		field("<", hex.EncodeToString(l.received))
		if len(l.sent) > 0 {
			field(">", hex.EncodeToString(l.sent))
		}
	}
	return b.String()
}

func parseTranscript(text []byte) (*transcript, error) {
	t := &transcript{peer: Peer{Major: 3, Minor: 1, Mechanism: Null}}
	keys := &CurveKeys{}
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), " ")
		data, err := hex.DecodeString(value)
		switch name {
		case "", "#":
			continue
		case "ours":
			t.config.Type, err = SocketType(value), nil
		case "identity":
			t.config.Identity, err = value, nil
		case "as-server":
			t.config.AsServer, err = value == "true", nil
		case "public":
			t.config.Curve, t.peer.Mechanism = keys, Curve
			copy(keys.Public[:], data)
		case "secret":
			copy(keys.Secret[:], data)
		case "server":
			copy(keys.Server[:], data)
		case "random":
			t.random = data
		case "fails":
			t.fails, err = value, nil
		case "peer":
			t.peer.Type, err = SocketType(value), nil
		case "peer-identity":
			t.peer.Identity, err = value, nil
		case "peer-key":
			copy(t.peer.Key[:], data)
		case "<":
			t.lines = append(t.lines, line{received: data})
		case ">":
			t.lines[len(t.lines)-1].sent = data
		default:
			err = fmt.Errorf("unknown line %q", name)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return t, lines.Err()
}
