package yamlfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// What a document may make of its bytes.
const (
	maxDepth = 50      // mappings and lists within each other
	maxNodes = 200_000 // keys and values, with those that an alias stands for
	maxFound = 20      // problems that are told at once
)

// Document is a file that was read. It is not to be changed, and may be used concurrently.
type Document struct {
	name  string
	lines []string
	top   *yaml.Node // a mapping; nil if there is nothing but comments
}

// Parse reads the text of a file, whose name is for errors.
func Parse(name string, text []byte) (*Document, error) {
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")) // that some editors begin with
	d := &Document{name: name, lines: linesOf(string(text))}
	if p := d.checkText(); p != nil {
		return nil, p
	}
	loader, err := yaml.NewLoader(bytes.NewReader(readable(text)), yaml.WithUniqueKeys(false))
	if err != nil {
		return nil, err
	}
	var first yaml.Node
	switch err := loader.Load(&first); {
	case errors.Is(err, io.EOF):
		return d, nil
	case err != nil:
		return nil, d.syntax(err)
	}
	d.top = first.Content[0]
	var second yaml.Node
	switch err := loader.Load(&second); {
	case errors.Is(err, io.EOF):
	case err != nil:
		return nil, d.syntax(err)
	case second.Content[0].ShortTag() != "!!null" || second.Content[0].Value != "":
		return nil, d.problem(second.Line, second.Column, errors.New("a second document begins: one file is one document; join them without the ---"))
	}
	if found := newChecker(d).check(d.top); len(found) > 0 {
		return nil, found.Err()
	}
	switch {
	case d.top.Kind == yaml.MappingNode:
	case d.top.ShortTag() == "!!null" && d.top.Value == "":
		d.top = nil
	default:
		return nil, d.At(d.top, errors.New("want keys with values, such as max-credit: 100"))
	}
	return d, nil
}

// breaks end a line, for YAML and for whoever is told its number.
var breaks = regexp.MustCompile("\r\n|[\n\r\u0085\u2028\u2029]")

// linesOf are a text's lines, without what ends them.
func linesOf(text string) []string { return breaks.Split(text, -1) }

// newer is a header that says that a file is YAML 1.2.
var newer = regexp.MustCompile(`\A(?:(?:[#%].*|[ \t]*)\r?\n)*?%YAML[ \t]+1\.2`)

// readable is a text as the library reads it, which knows no header but that of YAML 1.1.
func readable(text []byte) []byte {
	if header := newer.FindIndex(text); header != nil {
		text = bytes.Clone(text)
		text[header[1]-1] = '1'
	}
	return text
}

// checkText finds bytes that are no text: then the file is another than was meant.
func (d *Document) checkText() *Problem {
	if first := d.lines[0]; strings.HasPrefix(first, "\xff\xfe") || strings.HasPrefix(first, "\xfe\xff") {
		return d.problem(1, 1, errors.New("is UTF-16: save it as UTF-8"))
	}
	for number, line := range d.lines {
		for i, r := range line {
			switch _, size := utf8.DecodeRuneInString(line[i:]); {
			case r == utf8.RuneError && size == 1:
				return d.problem(number+1, utf8.RuneCountInString(line[:i])+1, fmt.Errorf("the byte 0x%02x is no UTF-8", line[i]))
			case r < ' ' && r != '\t' || r == 0x7f:
				return d.problem(number+1, utf8.RuneCountInString(line[:i])+1, fmt.Errorf("the control character 0x%02x is no text", r))
			}
		}
	}
	return nil
}

func (d *Document) problem(line, column int, err error) *Problem {
	p := &Problem{File: d.name, Line: line, Column: max(1, column), Err: err}
	if line > 0 && line <= len(d.lines) {
		p.text = d.lines[line-1]
	}
	return p
}

// At is an error with the place of a node.
func (d *Document) At(n *yaml.Node, err error) *Problem { return d.problem(n.Line, n.Column, err) }

// Name is the file's.
func (d *Document) Name() string { return d.name }

// Key is a key of a mapping with its value.
type Key struct {
	Name string
	// Node is where the key stands; Value is never an alias.
	Node, Value *yaml.Node
}

// Keys are those of the top, in the order of the file. A merge key stands for those that
// it brings.
func (d *Document) Keys() []Key {
	if d.top == nil {
		return nil
	}
	return keysOf(d.top)
}

// keysOf are a mapping's.
func keysOf(n *yaml.Node) (keys []Key) {
	var merged []Key
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], behind(n.Content[i+1])
		if key.ShortTag() != "!!merge" {
			keys = append(keys, Key{key.Value, key, value})
			continue
		}
		from := []*yaml.Node{value}
		if value.Kind == yaml.SequenceNode {
			from = value.Content
		}
		for _, m := range from {
			if m = behind(m); m.Kind == yaml.MappingNode {
				merged = append(merged, keysOf(m)...)
			}
		}
	}
	if len(merged) == 0 {
		return keys
	}
	there := make(map[string]bool, len(keys))
	for _, k := range keys {
		there[k.Name] = true
	}
	for _, k := range merged { // what stands in the mapping itself wins, then the first
		if !there[k.Name] {
			there[k.Name] = true
			keys = append(keys, k)
		}
	}
	return keys
}

// behind is what an alias stands for.
func behind(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

// Find returns the place of what a path such as routes[2].exec.command[0] leads to: the
// value if it stands in one line, else its key. Where the path leads to nothing, it is
// as far as it goes; nil if its first key is not there.
func (d *Document) Find(path string) *yaml.Node {
	if d.top == nil {
		return nil
	}
	var place *yaml.Node
	for at := d.top; path != ""; {
		key, next, rest := step(at, path)
		if next == nil {
			break
		}
		at, path, place = next, rest, next
		if key != nil && next.Kind != yaml.ScalarNode && next.Style&yaml.FlowStyle == 0 {
			place = key
		}
	}
	return place
}

// step goes one key or index down, and returns the rest of the path. A key may have dots.
func step(at *yaml.Node, path string) (key, next *yaml.Node, rest string) {
	switch at.Kind {
	case yaml.MappingNode:
		for _, k := range keysOf(at) {
			rest, ok := strings.CutPrefix(path, k.Name)
			if ok && k.Name != "" && (rest == "" || rest[0] == '[' || rest[0] == '.') {
				return k.Node, k.Value, strings.TrimPrefix(rest, ".")
			}
		}
	case yaml.SequenceNode:
		var i int
		if _, err := fmt.Sscanf(path, "[%d]", &i); err != nil || i < 0 || i >= len(at.Content) {
			return nil, nil, ""
		}
		_, rest, _ = strings.Cut(path, "]")
		return nil, behind(at.Content[i]), strings.TrimPrefix(rest, ".")
	}
	return nil, nil, ""
}
