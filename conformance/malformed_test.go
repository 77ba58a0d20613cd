package main_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/zio"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

var (
	goodPrefix = `ZIO0FLOW{"flow":"DAT"}`
	goodCoord  = strings.Repeat("\x00", 24)
)

// single is the single-part form of some parts, right or wrong.
func single(parts ...string) []string {
	var b strings.Builder
	for _, part := range parts {
		b.WriteByte(byte(len(part)))
		b.WriteString(part)
	}
	return []string{b.String()}
}

// multi is the multi-part form, with its delimiter.
func multi(parts ...string) []string { return append([]string{""}, parts...) }

type malformed struct {
	name  string
	parts []string
}

// malformedLabels are labels that are no flow message's, by what is wrong.
var malformedLabels = []struct{ name, label string }{
	{"label without flow key", `{"wolf":"DAT"}`},
	{"flow key twice", `{"flow":"DAT","flow":"DAT"}`},
	{"flow key twice, once escaped", `{"flow":"EOT","\u0066low":"DAT"}`},
	{"unknown flow type", `{"flow":"DOT"}`},
	{"flow type that is no string", `{"flow":4}`},
	{"label that is no object", `["flow","DAT"]`},
	{"label that is no JSON", `{"flow":"DAT",}`},
	{"label with text behind it", `{"flow":"DAT"}{}`},
	{"label that is not UTF-8", "{\"flow\":\"DAT\",\"x\":\"\xff\"}"},
	{"empty label", ""},
}

func malformedSingles() []malformed {
	list := []malformed{
		{"garbage", []string{"GET / HTTP/1.1\r\n\r\n"}},
		{"one byte", []string{"\x00"}},
		{"prefix alone", single(goodPrefix)},
		{"cut off in the coord", []string{single(goodPrefix, goodCoord)[0][:len(goodPrefix)+10]}},
		{"cut off in the payload", []string{single(goodPrefix, goodCoord)[0] + "\x05data"}},
		{"cut off in a length", []string{single(goodPrefix, goodCoord)[0] + "\xff\x00\x00"}},
		{"huge length", []string{single(goodPrefix, goodCoord)[0] + "\xff\xff\xff\xff\xffx"}},
		{"huge length of the prefix", []string{"\xff\xff\xff\xff\xff" + goodPrefix}},
		{"coord of 23 bytes", single(goodPrefix, goodCoord[1:])},
		{"coord of 25 bytes", single(goodPrefix, goodCoord+"x")},
		{"wrong magic", single("ZIX"+goodPrefix[3:], goodCoord)},
		{"level 9", single("ZIO9"+goodPrefix[4:], goodCoord)},
		{"short prefix", single("ZIO0FLO", goodCoord)},
	}
	for _, l := range malformedLabels {
		list = append(list, malformed{l.name, single("ZIO0FLOW"+l.label, goodCoord)})
	}
	return list
}

func malformedMultis() []malformed {
	list := []malformed{
		{"one empty part", []string{""}},
		{"two empty parts", []string{"", ""}},
		{"garbage", []string{"GET / HTTP/1.1\r\n\r\n"}},
		{"missing delimiter", []string{goodPrefix, goodCoord, "data"}},
		{"delimiter that is not empty", []string{"x", goodPrefix, goodCoord}},
		{"prefix alone", multi(goodPrefix)},
		{"coord of 23 bytes", multi(goodPrefix, goodCoord[1:])},
		{"coord of 25 bytes", multi(goodPrefix, goodCoord+"x")},
		{"wrong magic", multi("ZIX"+goodPrefix[3:], goodCoord)},
		{"level 9", multi("ZIO9"+goodPrefix[4:], goodCoord)},
		{"short prefix", multi("ZIO0FLO", goodCoord)},
		{"single-part form", multi(single(goodPrefix, goodCoord)...)},
	}
	for _, l := range malformedLabels {
		list = append(list, malformed{l.name, multi("ZIO0FLOW"+l.label, goodCoord)})
	}
	return list
}

// TestMalformed_MSG_6_MSG_8_MSG_9_MSG_10_BRK_19: what no ZIO peer should send
// costs its sender the flow, if it has one, and touches nobody else. The sender
// may begin another.
func TestMalformed_MSG_6_MSG_8_MSG_9_MSG_10_BRK_19(t *testing.T) {
	g := startGateway(t)
	l := g.listen(t, &gatewayv1.ListenRequest{Name: "all"})
	for via, list := range map[transportName][]malformed{viaClient: malformedSingles(), viaDealer: malformedMultis()} {
		honest := g.openFlow(t, l, via, viaGRPC, zio.Extract, 2)
		other := g.openFlow(t, l, viaGRPC, via, zio.Extract, 2)
		for _, bad := range list {
			t.Run(fmt.Sprintf("%s/%s", via, bad.name), func(t *testing.T) {
				sender := g.dial(t, via)
				for range 2 {
					mustSendRaw(t, sender, bad.parts)
				}
				checkOwnEOT(t, mustRecv(t, sender, zio.EOT), flow.ProtocolError, "malformed message")

				f := openBetween(t, l, sender, g.dial(t, viaGRPC), zio.Extract, 2)
				f.cross(t, 1) // which shows that the sender was told once
				mustSendRaw(t, sender, bad.parts)
				wantEOT(t, f.handler, flow.ProtocolError, "malformed message")
				wantEOT(t, f.client, flow.ProtocolError, "malformed message")
				g.wantEnd(t, flow.ProtocolError)

				honest.cross(t, 1)
				other.cross(t, 1)
			})
		}
		honest.end(t)
		other.end(t)
		g.wantEnd(t, flow.Completed)
		g.wantEnd(t, flow.Completed)
	}
}

func mustSendRaw(t *testing.T, p peer, parts []string) {
	t.Helper()
	raw := make([][]byte, len(parts))
	for i, part := range parts {
		raw[i] = []byte(part)
	}
	if err := p.(*nativePeer).SendRaw(raw...); err != nil {
		t.Fatal(err)
	}
}

// TestEmptyMessage_MSG_10: on a SERVER an empty message comes without the
// sender's id, so nobody can be told.
func TestEmptyMessage_MSG_10(t *testing.T) {
	g := startGateway(t)
	l := g.listen(t, &gatewayv1.ListenRequest{Name: "all"})
	sender := g.dial(t, viaClient)
	mustSendRaw(t, sender, []string{""})
	f := openBetween(t, l, sender, g.dial(t, viaClient), zio.Extract, 2)
	mustSendRaw(t, sender, []string{""})
	f.cross(t, 2)
	f.end(t)
}

// TestMalformedOverGRPC_BRK_19: the same for what the encoding itself does not
// rule out. The status names the field.
func TestMalformedOverGRPC_BRK_19(t *testing.T) {
	g := startGateway(t)
	l := g.listen(t, &gatewayv1.ListenRequest{Name: "all"})
	dat := func(d *gatewayv1.Dat) *gatewayv1.OpenRequest {
		return &gatewayv1.OpenRequest{Message: &gatewayv1.OpenRequest_Dat{Dat: d}}
	}
	for _, bad := range []struct {
		name, words string
		request     *gatewayv1.OpenRequest
	}{
		{"no message", "message", &gatewayv1.OpenRequest{}},
		{"second BOT", "bot", &gatewayv1.OpenRequest{Message: &gatewayv1.OpenRequest_Bot{Bot: &gatewayv1.Bot{}}}},
		{"level 9", "level", dat(&gatewayv1.Dat{Level: 9})},
		{"level 256", "level", dat(&gatewayv1.Dat{Level: 256})},
		{"label of another type", "label", dat(&gatewayv1.Dat{Label: `{"flow":"PAY","credit":1}`})},
		{"flow key twice", "label", dat(&gatewayv1.Dat{Label: `{"flow":"DAT","flow":"DAT"}`})},
		{"label that is no object", "label", dat(&gatewayv1.Dat{Label: `[]`})},
		{"label that is no JSON", "label", dat(&gatewayv1.Dat{Label: `{"a":}`})},
	} {
		t.Run(bad.name, func(t *testing.T) {
			honest := g.openFlow(t, l, viaGRPC, viaClient, zio.Extract, 2)
			f := g.openFlow(t, l, viaGRPC, viaDealer, zio.Extract, 2)
			f.cross(t, 1)
			if err := f.client.(*grpcPeer).stream.Send(bad.request); err != nil {
				t.Fatal(err)
			}
			wantEOT(t, f.client, flow.ProtocolError, bad.words)
			wantEOT(t, f.handler, flow.ProtocolError, bad.words)
			g.wantEnd(t, flow.ProtocolError)
			honest.cross(t, 2)
			honest.end(t)
			g.wantEnd(t, flow.Completed)
		})
	}
}
