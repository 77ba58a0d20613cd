package match_test

import (
	"strings"
	"testing"

	"github.com/zioflow/gateway/broker/match"
	"github.com/zioflow/gateway/broker/matching"
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/broker/zio"
)

func TestMatch(t *testing.T) {
	t.Parallel()
	view := &matching.View{
		Label: []byte(`{"flow":"BOT","direction":"extract","stream":"raw","run":7,"big":18446744073709551615,` +
			`"gain":1.5,"tags":["a","b"],"det":{"name":"apa1"},"ort":"Genève"}`),
		Direction: zio.Inject, Credit: 4,
		Peer: transport.PeerInfo{Transport: "zmq-server", Address: "10.0.0.1", Identity: "reader"},
	}
	for expression, want := range map[string]bool{
		`true`:                                                    true,
		`attributes.stream == 'raw'`:                              true,
		`attributes.stream == "cooked"`:                           false,
		`attributes.run > 6 && attributes.run < 8`:                true,
		`attributes.run == 7.0`:                                   true,
		`attributes.big == 18446744073709551615u`:                 true,
		`attributes.gain > 1`:                                     true,
		`attributes.det.name.startsWith('apa')`:                   true,
		`'b' in attributes.tags`:                                  true,
		`attributes["ort"] == 'Genève'`:                           true,
		`direction == 'inject'`:                                   true,
		`credit >= 4`:                                             true,
		`peer.transport == 'zmq-server'`:                          true,
		`peer.address == '10.0.0.1' && peer.identity == 'reader'`: true,
		`attributes.missing == 1`:                                 false,
		`!(attributes.missing == 1)`:                              false,
		`has(attributes.missing)`:                                 false,
		`has(attributes.stream)`:                                  true,
		`attributes.missing == 1 || credit == 4`:                  true,
		`attributes.stream > 3`:                                   false,
		`attributes.stream`:                                       false,
	} {
		compiled, err := match.Compile(expression)
		if err != nil {
			t.Errorf("%s: %v", expression, err)
			continue
		}
		if got := compiled.Match(view); got != want {
			t.Errorf("%s is %v, want %v", expression, got, want)
		}
	}
}

func TestCompileNamesPositionAndCause(t *testing.T) {
	t.Parallel()
	for expression, want := range map[string]string{
		`attributes.stream ==`:   "1:21: Syntax error",
		`stream == 'raw'`:        "undeclared reference to 'stream'",
		`credit`:                 "is of type int, want bool",
		`credit == 'four'`:       "found no matching overload",
		`direction.size() + 'x'`: "found no matching overload",
	} {
		_, err := match.Compile(expression)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", expression, err, want)
		}
	}
}

func TestCostIsBounded(t *testing.T) {
	t.Parallel()
	list := "[" + strings.Repeat("1,", 300) + "1]"
	view := &matching.View{Label: []byte(`{"l":` + list + `}`)}
	const expression = `attributes.l.all(a, attributes.l.all(b, attributes.l.all(c, a == b && b == c)))`
	compiled, err := match.Compile(expression)
	if err != nil {
		t.Fatal(err)
	}
	if compiled.Match(view) {
		t.Error("an expression of 27 million steps was evaluated to its end")
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	view := &matching.View{
		Label:     []byte(`{"stream":"cooked","run":7,"det":{"name":"apa1"},"tags":["a"]}`),
		Direction: zio.Inject, Credit: 4,
		Peer: transport.PeerInfo{Transport: "grpc"},
	}
	for expression, want := range map[string]string{
		`attributes.stream == 'cooked'`:                        `is true`,
		`attributes.stream == 'raw'`:                           `attributes.stream == "raw" is false: attributes.stream is "cooked"`,
		`attributes.run == 7 && attributes.site == 'a'`:        `attributes.site is missing`,
		`attributes.det.side == 1`:                             `attributes.det.side is missing`,
		`attributes.site.side == 1`:                            `attributes.site is missing`,
		`attributes["sub run"] == 1`:                           `attributes["sub run"] is missing`,
		`attributes.site == 'a' || attributes.run > 9`:         `attributes.site is missing, and attributes.run > 9 is false: attributes.run is 7`,
		`direction == 'extract' && attributes.site == 'a'`:     `direction == "extract" is false: direction is "inject"`,
		`has(attributes.site)`:                                 `has(attributes.site) is false`,
		`!has(attributes.run)`:                                 `!has(attributes.run) is false`,
		`attributes.run == credit`:                             `attributes.run == credit is false: attributes.run is 7, credit is 4`,
		`attributes.stream > 3`:                                `attributes.stream > 3: no such overload`,
		`attributes.stream`:                                    `attributes.stream: is "cooked", want true or false`,
		`attributes.det.name.startsWith('b')`:                  `attributes.det.name.startsWith("b") is false: attributes.det is {"name":"apa1"}, attributes.det.name is "apa1"`,
		`attributes.tags.exists(t, t == 'b')`:                  `attributes.tags.exists(t, t == "b") is false: attributes.tags is ["a"]`,
		`peer.transport == 'zmq-server' && peer.name != ''`:    `peer.transport == "zmq-server" is false: peer.transport is "grpc"`,
		`attributes.run == 7 && (credit > 5 || peer.name!='')`: `credit > 5 is false: credit is 4, and peer.name != "" is false: peer.name is ""`,
	} {
		compiled, err := match.Compile(expression)
		if err != nil {
			t.Errorf("%s: %v", expression, err)
			continue
		}
		if got := compiled.Explain(view); got != want {
			t.Errorf("%s\n got %s\nwant %s", expression, got, want)
		}
	}
}
