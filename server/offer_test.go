package server

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/zioflow/gateway/broker/routing"
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/broker/zio"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// toldOf is what a listener of that offer size is told of a BOT, which a decoder that
// gives up at 100 messages within each other can read.
func toldOf(t *testing.T, size int, label string, payload ...int) *gatewayv1.Bot {
	t.Helper()
	bot := &zio.Message{Label: []byte(label)}
	for _, n := range payload {
		bot.Payload = append(bot.Payload, make([]byte, n))
	}
	peer := transport.PeerInfo{Transport: "zmq-server", Address: "127.0.0.1", Identity: strings.Repeat("i", 255)}
	response := newOffered(routing.Offer{CID: 1<<53 - 1, Bot: bot, Deadline: time.Now(), Client: peer}, size).response()
	wire, err := proto.Marshal(response)
	if err != nil {
		t.Fatal(err)
	}
	if len(wire) > size {
		t.Errorf("the offer has %d bytes, %d are allowed", len(wire), size)
	}
	var decoded gatewayv1.ListenResponse
	if err := (proto.UnmarshalOptions{RecursionLimit: 100}).Unmarshal(wire, &decoded); err != nil {
		t.Errorf("an offer that not everybody can read: %v", err)
	}
	return decoded.GetOffer().GetBot()
}

func names(left *gatewayv1.LeftOut) (names []string) {
	for _, a := range left.GetAttributes() {
		names = append(names, fmt.Sprintf("%s %s (%d)", a.GetName(), a.GetWhy(), a.GetBytes()))
	}
	return names
}

const head = `"flow":"BOT","direction":"inject","credit":2,"cid":7`

func TestOffersAreBounded(t *testing.T) {
	t.Parallel()
	numbers := func(n int) string { return "[" + strings.Repeat("1,", n-1) + "1]" }
	for name, c := range map[string]struct {
		size    int
		label   string
		payload []int
		left    *gatewayv1.LeftOut
	}{
		"what fits":              {2 << 20, `{` + head + `,"run":1}`, []int{1000, 0, 2000}, nil},
		"payload":                {2 << 20, `{` + head + `,"run":1}`, []int{3, 5_000_000}, &gatewayv1.LeftOut{PayloadBytes: 5_000_003, PayloadParts: 2}},
		"many parts":             {64 << 10, `{` + head + `}`, make([]int, 10_000), &gatewayv1.LeftOut{PayloadParts: 10_000}},
		"payload for attributes": {1 << 20, `{` + head + `,"l":` + numbers(40_000) + `}`, []int{600_000}, &gatewayv1.LeftOut{PayloadBytes: 600_000, PayloadParts: 1}},
		"attributes":             {2 << 20, `{` + head + `,"l":` + numbers(450_000) + `}`, []int{10}, &gatewayv1.LeftOut{AttributesCount: 1, AttributesBytes: 900_001}},
		"attributes and payload": {64 << 10, `{` + head + `,"l":` + numbers(20_000) + `,"s":"` + strings.Repeat("x", 20_000) + `"}`, []int{10_000}, &gatewayv1.LeftOut{AttributesCount: 2, AttributesBytes: 60_003, PayloadBytes: 10_000, PayloadParts: 1}},
		"all":                    {leastOfferSize, `{` + head + `,"s":"` + strings.Repeat("x", 5_000) + `"}`, []int{4_000}, &gatewayv1.LeftOut{AttributesCount: 1, AttributesBytes: 5_002, PayloadBytes: 4_000, PayloadParts: 1, LabelBytes: uint64(len(head)) + 5_009}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bot := toldOf(t, c.size, c.label, c.payload...)
			left := bot.GetLeftOut()
			if left != nil {
				left = proto.CloneOf(left)
				left.Attributes = nil
			}
			if !proto.Equal(left, c.left) {
				t.Errorf("left out %v, want %v", left, c.left)
			}
			if c.left.GetLabelBytes() == 0 && bot.GetLabel() != c.label {
				t.Errorf("the label has %d bytes, want %d", len(bot.GetLabel()), len(c.label))
			}
			if c.left.GetPayloadParts() == 0 && len(bot.GetPayload()) != len(c.payload) {
				t.Errorf("the payload has %d parts", len(bot.GetPayload()))
			}
			if (bot.GetAttributes() == nil) != (c.left.GetAttributesCount() > 0) {
				t.Errorf("attributes %.100v", bot.GetAttributes())
			}
			if bot.GetCid() != 7 || bot.GetCredit() != 2 || bot.GetDirection() != gatewayv1.Direction_DIRECTION_INJECT {
				t.Errorf("the fields are cid %d, credit %d, %v", bot.GetCid(), bot.GetCredit(), bot.GetDirection())
			}
		})
	}
}

// TestAttributesThatNotAllCanRead: one of them is left out alone, and the label has
// it.
func TestAttributesThatNotAllCanRead(t *testing.T) {
	t.Parallel()
	deep := func(n int) string { return strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n) }
	lists := strings.Repeat("[", 150) + strings.Repeat("]", 150)
	for value, want := range map[string]string{
		`"x":` + deep(30):          "",
		`"x":` + deep(31):          "x is nested too deep to be read (187)",
		`"x":` + deep(180):         "x is nested too deep to be read (1081)",
		`"x":` + lists:             "x is nested too deep to be read (300)",
		`"x":1e999`:                "x has a number beyond every double (5)",
		`"x":"\ud800"`:             "x has half a character (a lone surrogate) (8)",
		`"x":1,"\u0078":2`:         "x stands there twice (1)",
		`"x":[NaN]`:                "x has NaN or Infinity, which are no JSON (5)",
		`"x":18446744073709551616`: "",
	} {
		label := `{` + head + `,"first":1,` + value + `,"last":"ok"}`
		bot := toldOf(t, 2<<20, label)
		fields := bot.GetAttributes().GetFields()
		if got := strings.Join(names(bot.GetLeftOut()), "; "); got != want {
			t.Errorf("%.60s: left out %q, want %q", value, got, want)
		}
		if fields["first"].GetNumberValue() != 1 || fields["last"].GetStringValue() != "ok" || (fields["x"] == nil) != (want != "") {
			t.Errorf("%.60s: attributes are %v", value, fields)
		}
		if bot.GetLabel() != label {
			t.Errorf("%.60s: the label is another", value)
		}
	}
}
