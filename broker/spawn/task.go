package spawn

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/match"
)

// task is what a command reads on its standard input: one JSON object, then the
// end of the file. docs/routes.md describes it.
type task struct {
	Flow      broker.FlowID   `json:"flow"`
	Route     string          `json:"route"`
	CID       uint64          `json:"cid"`
	Direction string          `json:"direction"`
	Credit    int64           `json:"credit"`
	Deadline  time.Time       `json:"deadline"`
	Client    client          `json:"client"`
	Label     json.RawMessage `json:"label"`
	Coord     coord           `json:"coord"`
	Payload   [][]byte        `json:"payload"` // base64
	Attr      map[string]any  `json:"attr,omitempty"`
}

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
func describe(r *broker.Request, o broker.Offer) ([]byte, error) {
	t := task{
		Flow: r.Flow(), Route: r.Route().Name, CID: o.CID,
		Direction: o.Direction.String(), Credit: o.Credit, Deadline: o.Deadline,
		Client:  clientOf(o.Client),
		Label:   o.Bot.Label,
		Coord:   coord{o.Bot.Origin, o.Bot.Granule, o.Bot.Seqno},
		Payload: o.Bot.Payload,
	}
	if t.Payload == nil {
		t.Payload = [][]byte{}
	}
	if rules, ok := r.Route().Match.(*match.Rules); ok {
		t.Attr = rules.Attr(r.View())
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false) // so that the label keeps its text
	err := encoder.Encode(t)
	return text.Bytes(), err
}

func clientOf(p broker.PeerInfo) client {
	return client{Transport: p.Transport, Address: p.Address, Identity: p.Identity, Name: p.Name}
}

// inherited are the variables that a command has from the gateway. All others
// stay with the gateway: there may be secrets among them.
var inherited = []string{"PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "TMPDIR"}

// environment is a command's.
func (f *Factory) environment(r *broker.Request, o broker.Offer) []string {
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
