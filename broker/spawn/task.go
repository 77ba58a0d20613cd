package spawn

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/zioflow/gateway/broker/match"
	"github.com/zioflow/gateway/broker/routing"
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/broker/zio"
)

// task is what a command reads on its standard input: one JSON object, then the
// end of the file. docs/routes.md describes it.
type task struct {
	Flow      transport.FlowID `json:"flow"`
	Route     string           `json:"route"`
	CID       uint64           `json:"cid"`
	Direction string           `json:"direction"`
	Credit    int64            `json:"credit"`
	Deadline  time.Time        `json:"deadline"`
	Client    client           `json:"client"`
	Label     json.RawMessage  `json:"label"`
	LabelText string           `json:"label_text,omitempty"` // where Label is not all of it
	Coord     coord            `json:"coord"`
	Payload   [][]byte         `json:"payload"` // base64
	Attr      map[string]any   `json:"attr,omitempty"`
	LeftOut   *leftOut         `json:"left_out,omitempty"`
}

// leftOut is what a task does not show of a BOT.
type leftOut struct {
	PayloadBytes int       `json:"payload_bytes,omitempty"`
	PayloadParts int       `json:"payload_parts,omitempty"`
	LabelBytes   int       `json:"label_bytes,omitempty"` // of label_text
	Attributes   []omitted `json:"attributes,omitempty"`
}

// omitted is an attribute that stands in label_text only.
type omitted struct {
	Name string `json:"name"`
	Why  string `json:"why"`
}

// maxTask bounds a task, in bytes, and with it what of a BOT is held for a command
// that does not read it.
const maxTask = 2 << 20

type client struct {
	Transport string `json:"transport"`
	Address   string `json:"address"`
	Identity  string `json:"identity"`
	Name      string `json:"name"`
}

type coord struct {
	Origin  uint64 `json:"origin"`
	Granule uint64 `json:"granule"`
	Seqno   uint64 `json:"seqno"`
}

// describe is the task of a command that is to accept an offer.
func describe(r *routing.Request, o routing.Offer) ([]byte, error) {
	label, odd, err := plainLabel(o.Bot.Label)
	if err != nil {
		return nil, err
	}
	t := task{
		Flow: r.Flow(), Route: r.Route().Name, CID: o.CID,
		Direction: o.Direction.String(), Credit: o.Credit, Deadline: o.Deadline,
		Client:  clientOf(o.Client),
		Label:   label,
		Coord:   coord{o.Bot.Origin, o.Bot.Granule, o.Bot.Seqno},
		Payload: [][]byte{},
	}
	if len(odd) > 0 {
		t.LabelText, t.LeftOut = string(o.Bot.Label), &leftOut{Attributes: odd}
	}
	if rules, ok := r.Route().Match.(*match.Rules); ok {
		t.Attr = rules.Attr(r.View())
	}
	return t.encode(o.Bot)
}

// encode is the task as it is written, with as much of the BOT as it may hold.
func (t *task) encode(bot *zio.Message) ([]byte, error) {
	text, err := t.marshal()
	if err != nil {
		return nil, err
	}
	if t.LeftOut == nil {
		t.LeftOut = &leftOut{}
	}
	if len(text) > maxTask && t.LabelText != "" {
		t.LeftOut.LabelBytes, t.LabelText = len(t.LabelText), ""
		if text, err = t.marshal(); err != nil {
			return nil, err
		}
	}
	const quotes = 6 // with a comma and padding, for each part
	if len(text)+base64.StdEncoding.EncodedLen(bot.Size())+quotes*bot.Parts() <= maxTask {
		t.Payload = append(t.Payload, bot.Payload...)
	} else {
		t.LeftOut.PayloadBytes, t.LeftOut.PayloadParts = bot.Size(), bot.Parts()
	}
	if t.LeftOut.isZero() {
		t.LeftOut = nil
	}
	return t.marshal()
}

func (l *leftOut) isZero() bool {
	return l.PayloadParts == 0 && l.LabelBytes == 0 && len(l.Attributes) == 0
}

func (t *task) marshal() ([]byte, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false) // so that the label keeps its text
	err := encoder.Encode(t)
	return text.Bytes(), err
}

// maxOmitted is how many attributes are told of that are not in a label.
const maxOmitted = 20

// plainLabel is a label as every reader of JSON reads it the same way, without the
// attributes of which that is not so, and the first of those.
func plainLabel(label []byte) (plain []byte, odd []omitted, err error) {
	why := map[string]zio.Unread{} // by key; empty for what can be read
	for key, member := range zio.Members(label) {
		if member.Err != nil {
			return nil, nil, member.Err
		}
		unread, _ := member.Value().(zio.Unread)
		if before, twice := why[key]; twice {
			unread = zio.UnreadTwice
			if before != "" {
				continue // told of
			}
		}
		why[key] = unread
		if unread != "" && len(odd) < maxOmitted {
			odd = append(odd, omitted{key, string(unread)})
		}
	}
	if len(odd) == 0 {
		return label, nil, nil
	}
	plain = append(make([]byte, 0, len(label)), '{')
	for key, member := range zio.Members(label) {
		if why[key] != "" {
			continue
		}
		if len(plain) > 1 {
			plain = append(plain, ',')
		}
		plain = append(append(plain, zio.Quote(key)...), ':')
		plain = append(plain, member.Text...)
	}
	return append(plain, '}'), odd, nil
}

func clientOf(p transport.PeerInfo) client {
	return client{Transport: p.Transport, Address: p.Address, Identity: p.Identity, Name: p.Name}
}

// inherited are the variables that a command has from the gateway. All others
// stay with the gateway: there may be secrets among them.
var inherited = []string{"PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "TMPDIR"}

// environment is a command's.
func (f *Factory) environment(r *routing.Request, o routing.Offer) []string {
	var variables []string
	for _, name := range inherited {
		if value, set := os.LookupEnv(name); set {
			variables = append(variables, name+"="+value)
		}
	}
	for _, own := range []struct{ name, value string }{
		{"ZMQ_SERVER", f.spawner.addresses.ZMQServer},
		{"ZMQ_ROUTER", f.spawner.addresses.ZMQRouter},
		{"GRPC", f.spawner.addresses.GRPC},
		{"CID", fmt.Sprint(o.CID)},
		{"FLOW", fmt.Sprint(r.Flow())},
	} {
		if own.value != "" {
			variables = append(variables, "ZIO_GATEWAY_"+own.name+"="+own.value)
		}
	}
	return variables
}
