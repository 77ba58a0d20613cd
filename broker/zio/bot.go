package zio

import (
	"encoding/json"
	"fmt"
	"strconv"
)

// MaxCID is the largest cid: native factories print it as a number, and a
// double holds integers exactly up to here (BRK-5).
const MaxCID = 1<<53 - 1

// Bot is what a BOT's label says to a broker. All else in it belongs to the
// applications.
type Bot struct {
	// Direction is NoDirection where the key is missing or says something else.
	Direction Direction
	Credit    Number
	// CID is Absent in a client's BOT.
	CID Number
}

// ParseBot reads a label whose flow type Peek has found to be BOT. A key that
// it reads and that stands twice is an error.
func ParseBot(label []byte) (Bot, error) {
	var (
		bot     Bot
		hasDir  bool
		scan    = membersOf(label)
		numbers = [...]struct {
			key string
			to  *Number
		}{{"credit", &bot.Credit}, {"cid", &bot.CID}}
	)
	for scan.next() {
		if is(scan.key, "direction") {
			if hasDir {
				return Bot{}, errTwice("direction")
			}
			hasDir = true
			bot.Direction = directionOf(scan.value)
			continue
		}
		for _, n := range numbers {
			if !is(scan.key, n.key) {
				continue
			}
			if n.to.Form != Absent {
				return Bot{}, errTwice(n.key)
			}
			*n.to = parseNumber(scan.value)
		}
	}
	return bot, scan.err
}

func directionOf(value []byte) Direction {
	if len(value) < 2 || value[0] != '"' {
		return NoDirection
	}
	raw := value[1 : len(value)-1]
	for d := Extract; d <= Inject; d++ {
		if is(raw, directionNames[d]) {
			return d
		}
	}
	return NoDirection
}

// RewriteBot is a BOT's label with another direction, credit and cid, and
// everything else in it as it was (FLOW-22). A credit below 1 and a cid of 0
// leave the key out.
func RewriteBot(label []byte, direction Direction, credit int64, cid uint64) ([]byte, error) {
	edits := []Member{
		{Key: "direction", Value: Quote(direction.String())},
		{Key: "credit"},
		{Key: "cid"},
	}
	if credit > 0 {
		edits[1].Value = strconv.AppendInt(nil, credit, 10)
	}
	if cid != 0 {
		edits[2].Value = strconv.AppendUint(nil, cid, 10)
	}
	return Edit(label, edits...)
}

// Member is a key of a label with the JSON text of its value.
type Member struct {
	Key string
	// Value is a JSON text; nil takes the member out.
	Value []byte
}

// Edit is a label with some members set: in the place where the key first
// stood, or else, in the order given, at the end. All other members keep their
// place and their text. The empty label counts as the empty object.
func Edit(label []byte, edits ...Member) ([]byte, error) {
	if len(label) == 0 {
		label = []byte("{}")
	}
	var (
		scan = membersOf(label)
		out  = append(make([]byte, 0, len(label)+32*len(edits)), '{')
		done = make([]bool, len(edits))
	)
	for scan.next() {
		i := find(edits, scan.key)
		if i < 0 {
			out = append(comma(out), scan.text[scan.start:scan.pos]...)
		} else if !done[i] {
			done[i] = true
			out = appendMember(out, edits[i])
		}
	}
	if scan.err != nil {
		return nil, scan.err
	}
	for i, edit := range edits {
		if !done[i] {
			out = appendMember(out, edit)
		}
	}
	return append(out, '}'), nil
}

func find(edits []Member, key []byte) int {
	for i := range edits {
		if is(key, edits[i].Key) {
			return i
		}
	}
	return -1
}

func appendMember(out []byte, m Member) []byte {
	if m.Value == nil {
		return out
	}
	out = append(comma(out), Quote(m.Key)...)
	out = append(out, ':')
	return append(out, m.Value...)
}

func comma(out []byte) []byte {
	if out[len(out)-1] != '{' {
		return append(out, ',')
	}
	return out
}

// Supply is the label of a flow message of type t: the label itself where it
// says that type already, else the label with `flow` put in front. For a PAY,
// `credit` is set to the credit given. A label that names another type, or that
// is no JSON object, is an error. The answer must not be changed.
func Supply(label []byte, t Type, credit int64) ([]byte, error) {
	if len(label) == 0 {
		return newLabel(t, credit), nil
	}
	scan, named := membersOf(label), false
	for scan.next() {
		if is(scan.key, "flow") {
			if named {
				return nil, errTwice("flow")
			}
			if named = true; typeOf(scan.value) != t {
				return nil, fmt.Errorf("%w: label of a %v says flow %.20s", ErrMalformed, t, scan.value)
			}
		}
	}
	if scan.err != nil {
		return nil, scan.err
	}
	if !named {
		rest, err := Edit(label) // drops the space around the object
		if err != nil {
			return nil, err
		}
		label = []byte(`{"flow":"` + t.String() + `"`)
		if len(rest) > len("{}") {
			label = append(label, ',')
		}
		label = append(label, rest[1:]...)
	}
	if t == PAY && !says(label, credit) {
		return Edit(label, Member{Key: "credit", Value: strconv.AppendInt(nil, credit, 10)})
	}
	return label, nil
}

// says tells whether a PAY's label has that credit already.
func says(label []byte, credit int64) bool {
	head, err := Peek(label)
	return err == nil && head.Credit == Number{Value: credit, Form: Integer}
}

// BareLabel is the label of a BOT, DAT or EOT with nothing but its type. It must
// not be changed.
func BareLabel(t Type) []byte { return bareLabels[t] }

// bareLabels are the labels with nothing but a type.
var bareLabels = [...][]byte{
	BOT: []byte(`{"flow":"BOT"}`), DAT: []byte(`{"flow":"DAT"}`), EOT: []byte(`{"flow":"EOT"}`),
}

func newLabel(t Type, credit int64) []byte {
	if t != PAY {
		return bareLabels[t]
	}
	label := []byte(`{"flow":"PAY","credit":`)
	label = strconv.AppendInt(label, credit, 10)
	return append(label, '}')
}

// ErrorLabel is the label of an EOT that tells why a flow ended. An empty
// detail is left out.
func ErrorLabel(reason, detail string) []byte {
	label := append([]byte(`{"flow":"EOT","error":`), Quote(reason)...)
	if detail != "" {
		label = append(label, `,"detail":`...)
		label = append(label, Quote(detail)...)
	}
	return append(label, '}')
}

// Quote is s as a JSON string.
func Quote(s string) []byte {
	text, err := json.Marshal(s)
	if err != nil { // cannot be: every string has a JSON form
		panic(err)
	}
	return text
}

// Problem says what is wrong with a BOT that could be read; empty if nothing
// is.
func (bot Bot) Problem() string {
	switch {
	case bot.Direction == NoDirection:
		return "the BOT's direction is neither extract nor inject"
	case bot.Credit.Form == NotInteger:
		return "the BOT's credit is no integer"
	}
	return ""
}
