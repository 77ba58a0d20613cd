package members_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/zioflow/gateway/cluster/members"
	"github.com/zioflow/gateway/internal/script"
	"github.com/zioflow/gateway/internal/script/scripttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestScripts plays what is in testdata, in the language of docs/scripts.md, with the node
// `self`. Rewrite what comes of an act with -rewrite.
//
//	b> beat [name NAME] [number N] [protocol N] [draining] [leaving]
//	b> change N [set LISTENER...] [removed ID...] [busy ID:FLOWS...] [routes ID:BODY...] [unrouted ID...]
//	b> table N [LISTENER...] [routes ID:BODY...]   what was to be fetched · b> unreadable
//	b> bytes                         on the connection to it
//	own and what follows `change N` · drain · undrain · leave
//	wait DURATION                    with a tick every 500 ms
//	stall DURATION                   this node does not run
//	show                             what is known
//
// A LISTENER is ID:NAME, ID:NAME:FLOWS or ID:NAME:FLOWS/MOST. Of what was told of one, `+` is
// all of it, `~` how many flows it has. A route stands as R and its number.
//
// `all<` is what is published; a beat that says what the one before said is not shown.
func TestScripts(t *testing.T) {
	scripttest.Run(t, "testdata", []string{"nodes", "listeners", "routes", "bytes", "piece"}, func(t *testing.T, s *script.Scenario, do func(scripttest.Recorded)) {
		o := members.DefaultOptions()
		for key, field := range map[string]*int{"nodes": &o.MaxNodes, "listeners": &o.MaxListeners, "routes": &o.MaxRoutes, "bytes": &o.MaxRouteBytes, "piece": &o.MaxChange} {
			if words := s.Head[key]; len(words) > 0 {
				n, err := strconv.Atoi(words[0])
				if err != nil {
					t.Fatal(err)
				}
				*field = n
			}
		}
		do(&player{machine: members.New(members.Beat{ID: "self", Name: "self"}, o), now: time.Unix(1000, 0)})
	})
}

type player struct {
	script.Record
	machine *members.Machine
	now     time.Time
	said    string
}

// Act implements script.Player.
func (p *player) Act(l script.Line) error {
	words := l.Words()
	if l.Kind == script.Send {
		e, err := event(members.ID(l.Who), words)
		if moved, is := e.(members.Moved); is {
			moved.At = p.now
			e = moved
		}
		if err == nil {
			p.step(e)
		}
		return err
	}
	switch words[0] {
	case "own":
		own, err := entries(words[1:])
		p.step(members.Own{Entries: own})
		return err
	case "drain", "undrain":
		p.step(members.Load{Draining: words[0] == "drain"})
	case "leave":
		p.step(members.Leave{})
	case "show":
		p.show()
	case "wait", "stall":
		d, err := time.ParseDuration(words[1])
		if err != nil {
			return err
		}
		for ; d > 0 && words[0] == "wait"; d -= 500 * time.Millisecond {
			p.now = p.now.Add(500 * time.Millisecond)
			p.step(members.Tick{})
		}
		p.now = p.now.Add(max(0, d))
	default:
		return fmt.Errorf("unknown event")
	}
	return nil
}

// event is what another node has sent.
func event(from members.ID, words []string) (members.Event, error) {
	number := func(i int) uint64 {
		n, _ := strconv.ParseUint(words[i], 10, 64)
		return n
	}
	switch words[0] {
	case "beat":
		b := members.Beat{ID: from, Name: string(from), Protocol: members.Protocol}
		for i, w := range words {
			switch w {
			case "name":
				b.Name = words[i+1]
			case "number":
				b.Number = number(i + 1)
			case "protocol":
				b.Protocol = uint32(number(i + 1))
			case "draining":
				b.Draining = true
			case "leaving":
				b.Leaving = true
			}
		}
		return members.Heard{Beat: b}, nil
	case "change":
		changed, err := entries(words[2:])
		return members.Told{Change: members.Change{ID: from, Number: number(1), Entries: changed}}, err
	case "table":
		whole, err := entries(append([]string{"set"}, words[2:]...))
		return members.Read{Table: members.Table{ID: from, Number: number(1), Listeners: whole.Set, Routes: whole.SetRoutes}}, err
	case "unreadable":
		return members.Failed{ID: from}, nil
	case "bytes":
		return members.Moved{ID: from}, nil
	}
	return nil, fmt.Errorf("unknown message")
}

// entries reads "set LISTENER... removed ID... busy ID:FLOWS... routes ID:BODY... unrouted ID...".
func entries(words []string) (c members.Entries, err error) {
	mode := ""
	for _, w := range words {
		if slices.Contains([]string{"set", "removed", "busy", "routes", "unrouted"}, w) {
			mode = w
			continue
		}
		var l members.Listener
		id, rest, _ := strings.Cut(w, ":")
		if l.ID, err = strconv.ParseUint(id, 10, 64); err != nil {
			return c, err
		}
		name, flows, _ := strings.Cut(rest, ":")
		if mode == "busy" {
			name, flows = "", name
		}
		l.Name = name
		if flows != "" {
			flows, most, _ := strings.Cut(flows, "/")
			if l.Flows, err = strconv.Atoi(flows); err == nil && most != "" {
				l.MaxFlows, err = strconv.Atoi(most)
			}
			if err != nil {
				return c, err
			}
		}
		switch mode {
		case "set":
			c.Set = append(c.Set, l)
		case "busy":
			c.Busy = append(c.Busy, members.Busy{ID: l.ID, Flows: l.Flows})
		case "routes":
			c.SetRoutes = append(c.SetRoutes, members.Route{ID: l.ID, Body: rest})
		case "unrouted":
			c.RemovedRoutes = append(c.RemovedRoutes, l.ID)
		default:
			c.Removed = append(c.Removed, l.ID)
		}
	}
	return c, nil
}

func (p *player) step(e members.Event) {
	for _, effect := range p.machine.Step(p.now, e) {
		if line := p.line(effect); line != "" {
			p.Came(line)
		}
	}
}

// line is an effect in words; empty for a beat that says nothing new.
func (p *player) line(e members.Effect) string {
	switch e := e.(type) {
	case members.Say:
		said := "all< beat" + state(e.Beat)
		if said == p.said {
			return ""
		}
		p.said = said
		return said
	case members.Tell:
		return fmt.Sprintf("all< change %d%s", e.Number, changes(e.Entries))
	case members.Fetch:
		return fmt.Sprintf("%s< fetch", e.ID)
	case members.Probe:
		return fmt.Sprintf("%s< probe", e.ID)
	case members.Joined:
		return fmt.Sprintf("self< joined %s%s", e.ID, state(e.Beat))
	case members.Updated:
		return fmt.Sprintf("self< updated %s%s", e.ID, state(e.Beat))
	case members.Changed:
		return fmt.Sprintf("self< changed %s%s", e.Node.ID, changes(e.Entries))
	case members.Left:
		return fmt.Sprintf("self< left %s %v", e.Node.ID, e.Why)
	case members.Refused:
		return fmt.Sprintf("self< refused %s %v", e.Beat.ID, e.Why)
	}
	return fmt.Sprintf("self< %T", e)
}

func state(b members.Beat) string {
	text := fmt.Sprintf(" number %d", b.Number)
	if b.Draining {
		text += " draining"
	}
	if b.Leaving {
		text += " leaving"
	}
	return text
}

func changes(e members.Entries) (text string) {
	for _, l := range e.Set {
		text += fmt.Sprintf(" +%d:%s", l.ID, l.Name)
		switch {
		case l.MaxFlows > 0:
			text += fmt.Sprintf(":%d/%d", l.Flows, l.MaxFlows)
		case l.Flows > 0:
			text += fmt.Sprintf(":%d", l.Flows)
		}
	}
	for _, id := range e.Removed {
		text += fmt.Sprintf(" -%d", id)
	}
	for _, b := range e.Busy {
		text += fmt.Sprintf(" ~%d:%d", b.ID, b.Flows)
	}
	for _, r := range e.SetRoutes {
		text += fmt.Sprintf(" +R%d:%s", r.ID, r.Body)
	}
	for _, id := range e.RemovedRoutes {
		text += fmt.Sprintf(" -R%d", id)
	}
	return text
}

func (p *player) show() {
	for _, n := range p.machine.Nodes() {
		table, _ := p.machine.Known(n.ID)
		word := "behind"
		if n.Current {
			word = "current"
		}
		p.Came(fmt.Sprintf("%s< %s at %d%s", n.ID, word, table.Number, changes(members.Entries{Set: table.Listeners, SetRoutes: table.Routes})))
	}
}
