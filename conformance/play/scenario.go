package play

import (
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"

	"github.com/zioflow/gateway/internal/script"
)

// Transport is a way to the broker.
type Transport string

// The transports: a CLIENT socket, a DEALER socket, FlowService.Open.
const (
	Client Transport = "CLIENT"
	Dealer Transport = "DEALER"
	GRPC   Transport = "gRPC"
)

// Transports are all of them.
func Transports() []Transport { return []Transport{Client, Dealer, GRPC} }

// Scenario is a script's scenario with what its head says.
type Scenario struct {
	*script.Scenario
	// Options are the broker's, named as on the gateway's command line: a broker that was
	// started otherwise does something else. Faster are options that only save time.
	Options, Faster []string
	// Engine is the only ZeroMQ engine on which it goes so; empty for all.
	Engine string
	// Clients are the transports of clients, Handlers those of handlers; no Handlers if no
	// handler takes part but the broker's own.
	Clients, Handlers []Transport
	// Alone says that no listener is registered while it is played.
	Alone bool
	// Offered says that it does not go without offers.
	Offered bool
}

// Load reads the scripts in a folder, and checks what they say as far as that can be done
// without playing them.
func Load(from fs.FS, folder string) ([]*Scenario, error) {
	scripts, err := script.Load(from, folder+"/*.txt", "options", "faster", "clients", "handlers", "engine", "listener")
	if err != nil {
		return nil, err
	}
	return read(scripts)
}

func read(scripts []*script.Scenario) (all []*Scenario, err error) {
	titles := map[string]bool{}
	for _, one := range scripts {
		s := &Scenario{Scenario: one, Options: one.Head["options"], Faster: one.Head["faster"], Engine: strings.Join(one.Head["engine"], " ")}
		if s.Clients, err = s.transports("clients"); err == nil {
			s.Handlers, err = s.transports("handlers")
		}
		if err == nil {
			err = s.check()
		}
		if err == nil && titles[s.Title] {
			err = fmt.Errorf("another file has a scenario %q, too", s.Title)
		}
		if err != nil {
			return nil, &script.Error{Pos: s.Pos, Err: err}
		}
		titles[s.Title] = true
		all = append(all, s)
	}
	return all, nil
}

func (s *Scenario) transports(key string) (list []Transport, err error) {
	if s.Head[key] == nil {
		return Transports(), nil
	}
	for _, word := range s.Head[key] {
		switch via := Transport(word); via {
		case "native":
			list = append(list, Client, Dealer)
		case Client, Dealer, GRPC:
			list = append(list, via)
		default:
			return nil, fmt.Errorf("%s: there is no transport %q, but CLIENT, DEALER, gRPC and native", key, word)
		}
	}
	return list, nil
}

// isHandler tells a handler from all others by its name, and by nothing else.
func isHandler(name string) bool { return strings.HasPrefix(name, "h") }

// check reads every line once.
func (s *Scenario) check() error {
	if len(s.Rules) == 0 {
		return fmt.Errorf("scenario %q shows no rule", s.Title)
	}
	switch listener := strings.Join(s.Head["listener"], " "); listener {
	case "":
	case "none":
		s.Alone = true
	default:
		return fmt.Errorf("listener: %q, want none", listener)
	}
	handled := false
	for _, l := range s.Lines {
		if err := checkLine(l); err != nil {
			return &script.Error{Pos: l.Pos, Err: fmt.Errorf("%s: %w", l.Text, err)}
		}
		name := l.Who
		if l.Kind == script.Event {
			name = l.Words()[0]
		}
		handled = handled || isHandler(name)
		s.Offered = s.Offered || l.Who == listenerName || strings.Contains(l.Rest, `"factory"`)
	}
	if !handled {
		s.Handlers = nil
	}
	if s.Alone && s.Offered {
		return fmt.Errorf("scenario %q has no listener, and offers", s.Title)
	}
	return nil
}

// listenerName and flowName are who receives what is no message.
const (
	listenerName = "l"
	flowName     = "flow"
)

// checkLine reads a line as the player does, with any number for a cid.
func checkLine(l script.Line) error {
	l.Rest = cidName.ReplaceAllString(l.Rest, "1")
	words := l.Words()
	switch {
	case l.Kind == script.Event:
		if len(words) != 2 || words[1] != "leaves" && words[1] != "shuts" {
			return fmt.Errorf("is nothing that this player does")
		}
		return nil
	case l.Who == flowName:
		begun := words[0] == "begun" && len(words) == 2
		ended := words[0] == "ended" && len(words) >= 2 && len(words) <= 4
		if l.Kind != script.Receive || l.Own || !begun && !ended {
			return fmt.Errorf("want flow< begun N, or flow< ended REASON [DATS [BYTES]]")
		}
		return nil
	case l.Who == listenerName:
		return checkListener(l, words)
	case l.Kind == script.Send && words[0] == "raw":
		_, err := script.ParseBytes(strings.TrimPrefix(l.Rest, "raw"))
		return err
	case l.Kind == script.Receive && !l.Own && l.Rest == nothing:
		return nil
	}
	_, err := parseMessage(l.Rest)
	return err
}

func checkListener(l script.Line, words []string) error {
	switch {
	case l.Kind == script.Send && words[0] == "decline" && len(words) == 3:
		return nil
	case l.Kind == script.Receive && !l.Own && words[0] == "withdrawn" && len(words) == 3:
		return nil
	case l.Kind == script.Receive && !l.Own && words[0] == "offer":
		_, err := parseMessage(strings.TrimPrefix(l.Rest, "offer"))
		return err
	}
	return fmt.Errorf(`want l< offer LABEL, l< withdrawn CID REASON, or l> decline CID "DETAIL"`)
}

// nothing is what a peer gets that is sent nothing more.
const nothing = "nothing"

func parseMessage(text string) (script.Message, error) {
	m, err := script.ParseMessage(text)
	if err != nil {
		return m, err
	}
	for _, word := range m.Words {
		if _, _, err := m.Number(word.Word); err != nil {
			return m, err
		}
	}
	return m, m.Only("seqno", "origin", "granule", "level")
}

// cidName is a cid's name, or its successor's.
var cidName = regexp.MustCompile(`\$(\w+)(\+1)?`)

// Pair is the transports with which a scenario is played once.
type Pair struct {
	Client  Transport
	Handler Transport // empty where no handler takes part
}

func (p Pair) String() string {
	if p.Handler == "" {
		return string(p.Client)
	}
	return string(p.Client) + " to " + string(p.Handler)
}

// Pairs are all with which the scenario is to be played.
func (s *Scenario) Pairs() (all []Pair) {
	for _, client := range s.Clients {
		if s.Handlers == nil {
			all = append(all, Pair{Client: client})
		}
		for _, handler := range s.Handlers {
			all = append(all, Pair{client, handler})
		}
	}
	return all
}

// Lacks says what a broker lacks for a scenario with those transports; empty for nothing.
func (t *Target) Lacks(s *Scenario, p Pair) string {
	switch {
	case !sameSet(s.Options, t.Options):
		if len(s.Options) == 0 {
			return "is for a broker without options"
		}
		return "is for a broker with " + strings.Join(s.Options, " ")
	case s.Engine != "" && s.Engine != t.Engine:
		return "is for a broker whose ZeroMQ is " + s.Engine
	case t.Short && len(s.Faster) > 0:
		return "waits for the broker's deadlines, which --short leaves out"
	case t.address(p.Client) == "":
		return "needs " + flagOf(p.Client)
	case p.Handler != "" && t.address(p.Handler) == "":
		return "needs " + flagOf(p.Handler)
	case s.Offered && t.GRPC == "":
		return "needs " + flagOf(GRPC) + ", over which offers come"
	}
	return ""
}

func sameSet(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

func flagOf(via Transport) string {
	return map[Transport]string{Client: "--zmq-server", Dealer: "--zmq-router", GRPC: "--grpc"}[via]
}
