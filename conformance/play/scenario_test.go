package play_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"go.uber.org/goleak"

	"github.com/zioflow/gateway/conformance/play"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestLoadErrors: what cannot be played is refused before anything is, with its place.
func TestLoadErrors(t *testing.T) {
	const head = "scenario: s\nrules: BRK-1\n"
	for text, want := range map[string]string{
		"scenario: s\nc> DAT":                       `x.txt:1: scenario "s" shows no rule`,
		head + "clients: UDP\nc> DAT":               `x.txt:1: clients: there is no transport "UDP", but CLIENT, DEALER, gRPC and native`,
		head + "listener: two\nc> DAT":              `listener: "two", want none`,
		head + "listener: none\nl> decline 1 \"x\"": `scenario "s" has no listener, and offers`,
		head + "c> DAT\nc dances":                   `x.txt:4: c dances: is nothing that this player does`,
		head + "c> DAT\nc< DAT colour 1":            `x.txt:4: c< DAT colour 1: "colour" is neither payload nor one of the words seqno, origin, granule, level`,
		head + "c> DAT seqno x":                     `x.txt:3: c> DAT seqno x: seqno x: want a number`,
		head + "c> raw 1":                           `x.txt:3: c> raw 1: "1" are no bytes: want hexadecimal, a quoted text, or 00*24`,
		head + "c> DAT\nflow< over":                 `x.txt:4: flow< over: want flow< begun N, or flow< ended REASON [DATS [BYTES]]`,
		head + "c> DAT\nl< DAT":                     `x.txt:4: l< DAT: want l< offer LABEL, l< withdrawn CID REASON, or l> decline CID "DETAIL"`,
		head + "c> DAT\nl< offer nonsense":          `x.txt:4: l< offer nonsense: "nonsense" is no label: want JSON, a quoted text, or BOT, PAY, DAT, EOT`,
	} {
		_, err := play.Load(fstest.MapFS{"s/x.txt": {Data: []byte(text)}}, "s")
		if err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%q\nis refused with %v\nwant %s", text, err, want)
		}
	}
}

// TestLacks: a scenario is played only on what it is for.
func TestLacks(t *testing.T) {
	all, err := play.Load(fstest.MapFS{"s/x.txt": {Data: []byte(`scenario: plain
rules: BRK-1
c> BOT extract 4
l< offer BOT
h> EOT

scenario: other
rules: BRK-2
options: a=1 b
faster: c=1
engine: libzmq
clients: native
c> EOT
`)}}, "s")
	if err != nil {
		t.Fatal(err)
	}
	plain, other := all[0], all[1]
	if len(plain.Pairs()) != 9 || len(other.Pairs()) != 2 || other.Pairs()[1].String() != "DEALER" || plain.Pairs()[5].String() != "DEALER to gRPC" {
		t.Errorf("the pairs are %v and %v", plain.Pairs(), other.Pairs())
	}
	whole := func(options ...string) *play.Target {
		return &play.Target{Server: "s", Router: "r", GRPC: "g", Options: options, Engine: "libzmq"}
	}
	short, zmtp := whole("b", "a=1"), whole("b", "a=1")
	short.Short, zmtp.Engine = true, "zmtp"
	for _, tt := range []struct {
		on   *play.Target
		s    *play.Scenario
		pair play.Pair
		want string
	}{
		{whole(), plain, plain.Pairs()[0], ""},
		{whole("b", "a=1"), other, other.Pairs()[0], ""},
		{whole("b"), plain, plain.Pairs()[0], "is for a broker without options"},
		{whole("b"), other, other.Pairs()[0], "is for a broker with a=1 b"},
		{zmtp, other, other.Pairs()[0], "is for a broker whose ZeroMQ is libzmq"},
		{short, other, other.Pairs()[0], "waits for the broker's deadlines, which --short leaves out"},
		{&play.Target{Router: "r", GRPC: "g"}, plain, plain.Pairs()[0], "needs --zmq-server"},
		{&play.Target{Server: "s", GRPC: "g"}, plain, plain.Pairs()[1], "needs --zmq-router"},
		{&play.Target{Server: "s"}, plain, plain.Pairs()[0], "needs --grpc, over which offers come"},
	} {
		if got := tt.on.Lacks(tt.s, tt.pair); got != tt.want {
			t.Errorf("%s, %v: lacks %q, want %q", tt.s.Title, tt.pair, got, tt.want)
		}
	}
}
