//go:build soak

package soak

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/zioflow/gateway/broker/zio"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// oddity is a BOT that a decoder may stumble over.
type oddity struct {
	name string
	// attributes are JSON members, each with a comma before it. They need not be JSON.
	attributes func(*rand.Rand) string
	parts      int // of the payload
	size       int // of each part
}

var oddities = []oddity{
	{name: "nested deep", attributes: func(rng *rand.Rand) string { return `,"deep":` + nested(rng, 31+rng.IntN(1<<rng.IntN(17))) }},
	{name: "nested in bounds", attributes: func(rng *rand.Rand) string { return `,"deep":` + nested(rng, 20+rng.IntN(20)) }},
	{name: "2 MiB attributes", attributes: func(*rand.Rand) string { return `,"long":"` + strings.Repeat("é", 1<<20) + `"` }},
	{name: "almost 1 MiB of quotes", attributes: func(*rand.Rand) string { return `,"long":"` + strings.Repeat(`\"`, 1<<19-1000) + `"` }},
	{name: "lone surrogates", attributes: func(rng *rand.Rand) string {
		half := fmt.Sprintf(`\u%04x`, 0xd800+rng.IntN(0x800))
		return `,"half":"` + half + `","` + half + `":1,"reversed":"\udc00\ud800"`
	}},
	{name: "doubled keys", attributes: func(*rand.Rand) string {
		return `,"twice":1,"twice":{"twice":1,"twice":2},"word":"Größe","word":"Größe"`
	}},
	{name: "huge numbers", attributes: func(rng *rand.Rand) string {
		return `,"big":1e999,"long":` + strings.Repeat("9", 1+rng.IntN(5000)) + `,"small":-1e-99999,"exponent":1e` + strings.Repeat("9", 300)
	}},
	{name: "no numbers", attributes: func(*rand.Rand) string { return `,"nan":NaN,"much":Infinity,"little":[-Infinity]` }},
	{name: "thousands of keys", attributes: func(*rand.Rand) string {
		var b strings.Builder
		for i := range 6000 {
			_, _ = fmt.Fprintf(&b, `,"%d":%d`, i, i)
		}
		return b.String()
	}},
	{name: "names with a meaning", attributes: func(*rand.Rand) string {
		return `,"__proto__":{"honest":true},"constructor":1,"":2,"\u0000":3,"toString":4,"fields":5,"cid":null`
	}},
	{name: "broken text", attributes: func(rng *rand.Rand) string { return `,"bytes":"` + string(noise(rng, 50)) + `"` }},
	{name: "control characters", attributes: func(*rand.Rand) string { return ",\"line\":\"a\nb\x1b[2J\",\"\r\":1" }},
	{name: "a large payload", attributes: func(*rand.Rand) string { return "" }, parts: 1, size: 5 << 20},
	{name: "thousands of parts", attributes: func(*rand.Rand) string { return "" }, parts: 20_000, size: 1},
}

// nested is so many lists and objects in each other.
func nested(rng *rand.Rand, depth int) string {
	if rng.IntN(2) == 0 {
		return strings.Repeat("[", depth) + strings.Repeat("]", depth)
	}
	return strings.Repeat(`{"a":`, depth) + "1" + strings.Repeat("}", depth)
}

// open sends the BOT, and returns how it was answered: with an end, as no listener
// takes it.
func (o oddity) open(g *gateway, to string, via transport, rng *rand.Rand) (answer string, err error) {
	p, err := dialBare(via, g.addresses[via], rng.IntN(250))
	if err != nil {
		return "", err
	}
	defer p.close()
	payload := make([][]byte, o.parts)
	for i := range payload {
		payload[i] = make([]byte, o.size)
	}
	label := fmt.Sprintf(`{"flow":"BOT","direction":"extract","credit":3,"to":"%s"%s}`, to, o.attributes(rng))
	if call, is := p.(*grpcPeer); is {
		label = strings.ToValidUTF8(label, "?") // gRPC's own client lets nothing else out
		if err := call.begin(); err != nil {
			return "", err
		}
		// An error means that the stream has ended: recv says why.
		_ = call.stream.Send(&gatewayv1.OpenRequest{Message: &gatewayv1.OpenRequest_Bot{Bot: &gatewayv1.Bot{Label: label, Payload: payload}}})
	} else if err := p.send(flowMessage(label, payload...)); err != nil {
		return "", err
	}
	m, err := p.recv(patience)
	switch {
	case isTimeout(err):
		return "nothing", errors.New("it is not answered")
	case err != nil && via != viaGRPC:
		return "cut off", err
	case err != nil:
		return reasonOf(err), nil
	case m.Type != zio.EOT || m.end.Reason == "":
		return "accepted", fmt.Errorf("it is answered by %.100s", m.Label)
	}
	return m.end.Reason, nil
}
