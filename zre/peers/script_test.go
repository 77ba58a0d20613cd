package peers_test

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"go.uber.org/goleak"

	"github.com/zioflow/gateway/zre/peers"
	"github.com/zioflow/gateway/zre/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestScripts plays what is in testdata, each named after the rules that it shows. A
// line is an event; what comes of it is recorded behind it. Rewrite the records with
// -rewrite.
//
//	announce NAME PREFIX... [own=ADDRESS]     what the node is; its inbox is at port 4000
//	beacon PEER ADDRESS:PORT                  PEER is a letter; "self" is the node
//	garbled ADDRESS malformed|version
//	connected|closed OUT
//	open IN PEER ADDRESS · drop IN
//	IN HELLO|PING|... SEQUENCE [ENDPOINT NAME [KEY=VALUE...]] · IN malformed|version|bounds
//	+DURATION                                 time passes
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		var p player
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			var out strings.Builder
			if d.Cmd == "new" {
				p = player{now: time.Unix(0, 0), machine: peers.New(uuidOf("self"), optionsOf(t, d))}
				p.step(peers.Announced{Announcement: announcement([]string{"me", "10.9.0.1/24"})})
				return ""
			}
			for line := range strings.Lines(d.Input) {
				line = strings.TrimSpace(line)
				fmt.Fprintf(&out, "%-38s| %s\n", line, strings.Join(p.play(t, strings.Fields(line)), "; "))
			}
			return out.String()
		})
	})
}

func optionsOf(t *testing.T, d *datadriven.TestData) peers.Options {
	o := peers.DefaultOptions()
	for _, arg := range d.CmdArgs {
		var n int
		arg.Scan(t, 0, &n)
		switch arg.Key {
		case "renew":
			o.Renew = uint16(n)
		case "peers":
			o.MaxPeers = n
		case "host":
			o.PerHost = n
		case "bytes":
			o.MaxBytes = n
		case "connecting":
			o.Connecting = n
		case "rate":
			o.DialRate = float64(n)
		default:
			d.Fatalf(t, "unknown option %s", arg.Key)
		}
	}
	return o
}

// uuidOf is sixteen times the letter; self has sixteen zeros.
func uuidOf(name string) (u wire.UUID) {
	if name != "self" {
		for i := range u {
			u[i] = name[0]
		}
	}
	return u
}

func nameOf(u wire.UUID) string { return string(u[:1]) }

func announcement(words []string) peers.Announcement {
	a := peers.Announcement{Name: words[0]}
	for _, word := range words[1:] {
		if own, ok := strings.CutPrefix(word, "own="); ok {
			a.Own = append(a.Own, netip.MustParseAddr(own))
			continue
		}
		prefix := netip.MustParsePrefix(word)
		a.Own = append(a.Own, prefix.Addr())
		a.Sites = append(a.Sites, peers.Site{
			Prefix: prefix, Endpoint: "tcp://" + prefix.Addr().String() + ":4000",
			Headers: map[string]string{"at": prefix.Addr().String()}, Here: map[string]string{"here": prefix.Addr().String()},
		})
	}
	return a
}

type player struct {
	now     time.Time
	machine *peers.Machine
}

func (p *player) step(e peers.Event) (told []string) {
	for _, effect := range p.machine.Step(p.now, e) {
		told = append(told, tell(effect))
	}
	return told
}

func (p *player) play(t *testing.T, words []string) []string {
	t.Helper()
	if d, ok := strings.CutPrefix(words[0], "+"); ok {
		return p.pass(t, d)
	}
	if in, err := strconv.ParseUint(words[0], 10, 64); err == nil {
		return p.step(received(t, peers.In(in), words[1:]))
	}
	number := func(i int) uint64 {
		n, err := strconv.ParseUint(words[i], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	switch words[0] {
	case "announce":
		return p.step(peers.Announced{Announcement: announcement(words[1:])})
	case "beacon":
		at := netip.MustParseAddrPort(words[2])
		return p.step(peers.Heard{From: at.Addr(), Beacon: wire.Beacon{UUID: uuidOf(words[1]), Port: at.Port()}})
	case "garbled":
		return p.step(peers.Garbled{From: netip.MustParseAddr(words[1]), Err: faults[words[2]]})
	case "connected":
		return p.step(peers.Connected{Out: peers.Out(number(1))})
	case "closed":
		return p.step(peers.Closed{Out: peers.Out(number(1))})
	case "open":
		return p.step(peers.Opened{In: peers.In(number(1)), UUID: uuidOf(words[2]), From: netip.MustParseAddr(words[3])})
	case "drop":
		return p.step(peers.Dropped{In: peers.In(number(1))})
	}
	t.Fatalf("unknown event %q", words)
	return nil
}

// pass lets time pass, a tick each half second. What comes of it is told in order of its
// text.
func (p *player) pass(t *testing.T, text string) (told []string) {
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	const tick = time.Second / 2
	for begin := p.now; p.now.Sub(begin) < d; {
		p.now = p.now.Add(tick)
		for _, effect := range p.step(peers.Tick{}) {
			told = append(told, fmt.Sprintf("%v %s", p.now.Sub(begin), effect))
		}
	}
	return told
}

var faults = map[string]error{"malformed": wire.ErrBeacon, "version": wire.ErrVersion, "bounds": wire.ErrBounds}

var commands = map[string]wire.Command{
	"HELLO": wire.Hello, "WHISPER": wire.Whisper, "SHOUT": wire.Shout, "JOIN": wire.Join, "LEAVE": wire.Leave,
	"PING": wire.Ping, "PING-OK": wire.PingOK, "ELECT": 8,
}

func received(t *testing.T, in peers.In, words []string) peers.Received {
	t.Helper()
	if err := faults[words[0]]; err != nil {
		return peers.Received{In: in, Err: err}
	}
	sequence, err := strconv.ParseUint(words[1], 10, 16)
	if err != nil || commands[words[0]] == 0 {
		t.Fatalf("%q is no message", words)
	}
	m := wire.Message{Command: commands[words[0]], Sequence: uint16(sequence)}
	if m.Command == wire.Hello {
		m.Endpoint, m.Name, m.Headers = words[2], words[3], map[string]string{}
		for _, word := range words[4:] {
			key, value, _ := strings.Cut(word, "=")
			m.Headers[key] = value
		}
	}
	return peers.Received{In: in, Message: m}
}

// tell is an effect in words.
func tell(e peers.Effect) string {
	switch e := e.(type) {
	case peers.Dial:
		return fmt.Sprintf("dial %d %v", e.Out, e.To)
	case peers.Send:
		return fmt.Sprintf("%d<-%s", e.Out, tellMessage(&e.Message))
	case peers.Hang:
		return fmt.Sprintf("hang %d", e.Out)
	case peers.Cut:
		return fmt.Sprintf("cut %d", e.In)
	case peers.Greeted:
		return fmt.Sprintf("greeted %d", e.In)
	case peers.Entered:
		return "enter " + tellPeer(&e.Peer)
	case peers.Changed:
		return "changed " + tellPeer(&e.Peer)
	case peers.Exited:
		return fmt.Sprintf("exit %s %s", nameOf(e.UUID), e.Reason)
	case peers.Refused:
		return fmt.Sprintf("refused %s of %v", e.Cause, e.From)
	}
	return fmt.Sprintf("%T", e)
}

func tellMessage(m *wire.Message) string {
	for name, c := range commands {
		if c == m.Command && m.Command == wire.Hello {
			return fmt.Sprintf("HELLO %d %s %s %s", m.Sequence, m.Endpoint, m.Name, tellHeaders(m.Headers))
		} else if c == m.Command {
			return fmt.Sprintf("%s %d", name, m.Sequence)
		}
	}
	return fmt.Sprint(m.Command)
}

func tellPeer(p *peers.Peer) string {
	text := fmt.Sprintf("%s %s at %v", nameOf(p.UUID), p.Name, p.Endpoint)
	if p.Local {
		text += " here"
	}
	if h := tellHeaders(p.Headers); h != "" {
		text += " " + h
	}
	return text
}

func tellHeaders(h map[string]string) string {
	var words []string
	for _, key := range slices.Sorted(maps.Keys(h)) {
		words = append(words, key+"="+h[key])
	}
	return strings.Join(words, " ")
}
