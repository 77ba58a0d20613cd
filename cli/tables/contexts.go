package tables

import (
	"encoding/json"
	"strings"
)

// NamedGateway is a context, without what it shows.
type NamedGateway struct {
	Name        string `json:"name"`
	Address     string `json:"address"`
	Used        bool   `json:"used"`
	TLS         bool   `json:"tls"`
	Token       bool   `json:"token"`
	Certificate bool   `json:"certificate"`
}

// NamedGateways are a row for each context.
func NamedGateways(list []NamedGateway) *Table {
	t := &Table{
		Columns: []Column{{"", false}, {"NAME", false}, {"ADDRESS", false}, {"SECURITY", false}, {"SHOWS", false}},
		Empty:   "no contexts: commands talk to 127.0.0.1:7575, unless told otherwise",
	}
	for _, n := range list {
		used, security := Cell{}, Cell{"none", Dim}
		if n.Used {
			used = Cell{"*", Good}
		}
		if n.TLS {
			security = Cell{"tls", Good}
		}
		var shows []string
		if n.Token {
			shows = append(shows, "token")
		}
		if n.Certificate {
			shows = append(shows, "certificate")
		}
		t.Rows = append(t.Rows, []Cell{used, of(n.Name), of(n.Address), security, of(strings.Join(shows, ", "))})
	}
	return t
}

// PlainJSON is JSON of what is no message of the contract.
func PlainJSON(value any) (string, error) {
	text, err := json.MarshalIndent(value, "", "  ")
	return Escaped(string(text), plainly) + "\n", err
}
