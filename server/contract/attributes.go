package contract

import (
	"bytes"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/zioflow/gateway/broker/zio"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// AttributeLimits bound the attributes that a message shows.
type AttributeLimits struct {
	// Each is how long the text of a value may be, Total how large all of them may be
	// together, encoded; both in bytes.
	Each, Total int

	whole bool // one that is too long takes all others with it, and is not cut
}

// WholeAttributes are the attributes of a message that may take so many bytes for
// them. A list of small numbers takes six times its text, and many times that in
// memory.
func WholeAttributes(room int) AttributeLimits {
	room = min(room, 512<<10)
	return AttributeLimits{Each: room, Total: room, whole: true}
}

// MaxUnshown bounds the attributes that are not shown of which a message tells by name.
const MaxUnshown = 20

// Bounds of what is looked at in any case, and of what is told of what is not shown.
const (
	maxMembers     = 4096
	maxUnshownName = 128 // bytes

	tooLong = "is too long to be shown"
	isCut   = "is cut"
)

// attribute is a key of a label with its value's text.
type attribute struct {
	key string
	zio.MemberText
	twice bool
}

// readAttributes returns the attributes of a label, without the keys that are fields.
// It looks at maxMembers of them, and counts the others in more.
func readAttributes(label []byte) (attributes []*attribute, more *gatewayv1.LeftOut) {
	more = &gatewayv1.LeftOut{}
	known := map[string]*attribute{}
	for key, text := range zio.Members(label) {
		switch before := known[key]; {
		case text.Err != nil: // cannot be: the broker has read it
			return nil, more
		case slices.Contains(reserved, key):
		case before != nil:
			before.twice = true
		case len(attributes) == maxMembers:
			more.AttributesCount++
			more.AttributesBytes += uint64(len(text.Text))
		default:
			known[key] = &attribute{key: key, MemberText: text}
			attributes = append(attributes, known[key])
		}
	}
	return attributes, more
}

// Attributes is a label as a Struct, without the keys that are fields. What cannot
// be read, and what is too long, is left out or cut, and told of; nil if nothing is.
func Attributes(label []byte, limits AttributeLimits) (*structpb.Struct, *gatewayv1.LeftOut) {
	attributes, hidden := readAttributes(label)
	shown := make(map[string]*structpb.Value, len(attributes))
	left := limits.Total
	for _, a := range attributes {
		value, why := a.value(min(limits.Each, left), limits.whole)
		if value != nil {
			size := proto.Size(value) + len(a.key) + 16 // with the heads of entry and value
			if size > left {
				why = tooLong
			} else {
				left -= size
				shown[a.key] = value
			}
		}
		if why == tooLong && limits.whole {
			_, more := readAttributes(label)
			return nil, allHidden(attributes, more)
		}
		if why != "" {
			a.hide(hidden, why)
		}
	}
	if hidden.AttributesCount == 0 {
		hidden = nil
	}
	return &structpb.Struct{Fields: shown}, hidden
}

// allHidden tells that none of the attributes is shown.
func allHidden(attributes []*attribute, more *gatewayv1.LeftOut) *gatewayv1.LeftOut {
	for _, a := range attributes {
		a.hide(more, tooLong)
	}
	return more
}

// value is the value if it can be shown, or what can be shown of it; and why not, or
// not all of it.
func (a *attribute) value(limit int, whole bool) (value *structpb.Value, why string) {
	const leastElement = 4 // bytes of an element of a list, encoded
	long := len(a.Text) > limit || bytes.Count(a.Text, []byte{','})*leastElement > limit
	isText := a.Text[0] == '"'
	switch {
	case a.twice:
		return nil, string(zio.UnreadTwice)
	case long && (whole || !isText || limit < leastText):
		return nil, tooLong
	}
	read := a.Value()
	if unread, is := read.(zio.Unread); is {
		return nil, string(unread)
	}
	if text, is := read.(string); is && len(text) > limit {
		read, why = CutText(text, limit), isCut
	}
	value, err := structpb.NewValue(read)
	if err != nil { // cannot be: it is UTF-8
		return nil, err.Error()
	}
	return value, why
}

// leastText is how much of a text is worth being shown.
const leastText = 64

// hide takes note that the attribute is not shown as it is.
func (a *attribute) hide(hidden *gatewayv1.LeftOut, why string) {
	hidden.AttributesCount++
	hidden.AttributesBytes += uint64(len(a.Text))
	if len(hidden.Attributes) < MaxUnshown {
		hidden.Attributes = append(hidden.Attributes, &gatewayv1.UnshownAttribute{
			Name: CutText(a.key, maxUnshownName), Why: why, Bytes: uint64(len(a.Text)),
		})
	}
}

// CutText shortens a text to n bytes, in whole characters.
func CutText(text string, n int) string {
	if len(text) <= n {
		return text
	}
	return strings.ToValidUTF8(text[:n], "") + "…"
}
