package script

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Message is a message as a line has it: LABEL PAYLOAD… (WORD VALUE)….
type Message struct {
	Label   []byte
	Payload [][]byte
	// Words are what the line says besides, in its order.
	Words []Pair
}

// Pair is a word with its value, such as `seqno 3`.
type Pair struct{ Word, Value string }

// Value is that of a word; false if it does not stand there.
func (m *Message) Value(word string) (string, bool) {
	for _, p := range m.Words {
		if p.Word == word {
			return p.Value, true
		}
	}
	return "", false
}

// Number is the value of a word that has a number; false if it does not stand there.
func (m *Message) Number(word string) (n uint64, ok bool, err error) {
	value, ok := m.Value(word)
	if !ok {
		return 0, false, nil
	}
	n, err = strconv.ParseUint(value, 10, 64)
	if err != nil {
		err = fmt.Errorf("%s %s: want a number", word, value)
	}
	return n, true, err
}

// Only says which of the message's words is none of these.
func (m *Message) Only(words ...string) error {
	for _, p := range m.Words {
		if !slices.Contains(words, p.Word) {
			return fmt.Errorf("%q is neither payload nor one of the words %s", p.Word, strings.Join(words, ", "))
		}
	}
	return nil
}

// maxSize bounds what one word can stand for, in bytes and in parts.
const maxSize = 1 << 28

// ParseMessage reads a message.
func ParseMessage(text string) (m Message, err error) {
	words, err := split(text)
	if err != nil {
		return m, err
	}
	if len(words) == 0 {
		return m, errors.New("there is no label")
	}
	label, words, err := cutLabel(words)
	if err != nil {
		return m, err
	}
	if m.Label, err = longLabel(label); err != nil {
		return m, err
	}
	for i := 0; i < len(words); i++ {
		text := words[i].text
		switch {
		case text[0] == '"' || text[0] == '*':
			if err := m.addParts(text); err != nil {
				return m, err
			}
		case i+1 < len(words):
			i++
			m.Words = append(m.Words, Pair{text, words[i].text})
		default:
			return m, fmt.Errorf("%q is neither payload nor a word with a value", cut(text))
		}
	}
	return m, nil
}

// cutLabel takes the label: JSON as it stands, a quoted text of which the content is the
// label, or BOT, DAT, EOT or PAY with what belongs to these.
func cutLabel(words []word) ([]byte, []word, error) {
	first, rest := words[0].text, words[1:]
	switch first[0] {
	case '"':
		content, err := unquote(first)
		return []byte(content), rest, err
	case '{':
		return []byte(first), rest, nil
	}
	var short strings.Builder
	fmt.Fprintf(&short, `{"flow":%q`, first)
	switch first {
	case "DAT", "EOT":
	case "BOT":
		if len(rest) > 0 && (rest[0].text == "extract" || rest[0].text == "inject") {
			fmt.Fprintf(&short, `,"direction":%q`, rest[0].text)
			rest = rest[1:]
		}
		rest = shortCredit(&short, rest)
	case "PAY":
		rest = shortCredit(&short, rest)
	default:
		return nil, nil, fmt.Errorf("%q is no label: want JSON, a quoted text, or BOT, PAY, DAT, EOT", cut(first))
	}
	short.WriteByte('}')
	return []byte(short.String()), rest, nil
}

var aNumber = regexp.MustCompile(`^-?\d+(\.\d+)?$`)

func shortCredit(to *strings.Builder, words []word) []word {
	if len(words) == 0 || !aNumber.MatchString(words[0].text) {
		return words
	}
	fmt.Fprintf(to, `,"credit":%s`, words[0].text)
	return words[1:]
}

var longString = regexp.MustCompile(`"\*\d+"`)

// longLabel puts a text of N bytes in the place of every "*N".
func longLabel(label []byte) (_ []byte, err error) {
	return longString.ReplaceAllFunc(label, func(word []byte) []byte {
		n, wrong := size(string(word[2 : len(word)-1]))
		if wrong != nil {
			err = wrong
		}
		return fmt.Appendf(nil, `"%s"`, strings.Repeat("x", n))
	}), err
}

func size(digits string) (int, error) {
	n, err := strconv.Atoi(digits)
	if err != nil || n < 0 || n > maxSize {
		return 0, fmt.Errorf("%q: want a number up to %d", digits, maxSize)
	}
	return n, nil
}

// addParts adds what "text", *N or *NxM stands for.
func (m *Message) addParts(text string) error {
	if text[0] == '"' {
		content, err := unquote(text)
		m.Payload = append(m.Payload, []byte(content))
		return err
	}
	bytes, count, several := strings.Cut(text[1:], "x")
	times := 1
	n, err := size(bytes)
	if several && err == nil {
		times, err = size(count)
	}
	if err == nil && int64(n)*int64(times)+int64(times) > maxSize {
		err = fmt.Errorf("%s stands for too much", text)
	}
	if err != nil {
		return err
	}
	part := pattern(n)
	for range times {
		m.Payload = append(m.Payload, part)
	}
	return nil
}

const digits = "0123456789"

// pattern is what *N stands for.
func pattern(n int) []byte { return bytes.Repeat([]byte(digits), n/len(digits)+1)[:n] }

func isPattern(part []byte) bool {
	for i, c := range part {
		if c != digits[i%len(digits)] {
			return false
		}
	}
	return true
}

func unquote(text string) (string, error) {
	content, err := strconv.Unquote(text)
	if err != nil {
		err = fmt.Errorf("%s is no quoted text as Go has it", cut(text))
	}
	return content, err
}

// String is the message as a line has it, by which it can be told from every other one
// whose long parts and texts are those of *N.
func (m Message) String() string {
	var out strings.Builder
	out.WriteString(labelText(m.Label))
	for i := 0; i < len(m.Payload); {
		part := m.Payload[i]
		same := i + 1
		for same < len(m.Payload) && bytes.Equal(m.Payload[same], part) {
			same++
		}
		switch times := same - i; {
		case isPattern(part) && times > 3:
			fmt.Fprintf(&out, " *%dx%d", len(part), times)
			i = same
			continue
		case isPattern(part) && len(part) > len(digits):
			fmt.Fprintf(&out, " *%d", len(part))
		default:
			fmt.Fprintf(&out, " %q", part)
		}
		i++
	}
	for _, p := range m.Words {
		fmt.Fprintf(&out, " %s %s", p.Word, p.Value)
	}
	return out.String()
}

var longRun = regexp.MustCompile(`"x{100,}"`)

// labelText is a label as it stands where it is a word, else in quotes.
func labelText(label []byte) string {
	text := string(longRun.ReplaceAllFunc(label, func(run []byte) []byte { return fmt.Appendf(nil, `"*%d"`, len(run)-2) }))
	if n := bracketLen(text); strings.HasPrefix(text, "{") && n == len(text) && !strings.ContainsAny(text, "\n\r") {
		return text
	}
	return strconv.Quote(string(label))
}

// ParseBytes reads bytes that need be no message: hexadecimal, "text", or HH*N for N times
// HH; a bar stands between parts.
func ParseBytes(text string) ([][]byte, error) {
	words, err := split(text)
	parts := [][]byte{nil}
	for i := 0; err == nil && i < len(words); i++ {
		if words[i].text == "|" {
			parts = append(parts, nil)
			continue
		}
		var chunk []byte
		chunk, err = parseChunk(words[i].text)
		last := &parts[len(parts)-1]
		*last = append(*last, chunk...)
	}
	return parts, err
}

func parseChunk(text string) ([]byte, error) {
	if text[0] == '"' {
		content, err := unquote(text)
		return []byte(content), err
	}
	hexadecimal, count, repeated := strings.Cut(text, "*")
	b, err := hex.DecodeString(hexadecimal)
	if err != nil {
		return nil, fmt.Errorf("%q are no bytes: want hexadecimal, a quoted text, or 00*24", cut(text))
	}
	if !repeated {
		return b, nil
	}
	n, err := size(count)
	if err == nil && len(b)*n > maxSize {
		err = fmt.Errorf("%s stands for too much", text)
	}
	if err != nil {
		return nil, err
	}
	return bytes.Repeat(b, n), nil
}

// SameValue compares labels as JSON: spacing and order may differ. A "*" in the one that
// is wanted stands for any text.
func SameValue(got, want []byte) error {
	var values [2]map[string]any
	for i, label := range [][]byte{got, want} {
		decoder := json.NewDecoder(bytes.NewReader(label))
		decoder.UseNumber()
		if err := decoder.Decode(&values[i]); err != nil {
			return fmt.Errorf("label %s: %w", cut(string(label)), err)
		}
	}
	for key, value := range values[1] {
		if _, isText := values[0][key].(string); isText && value == "*" {
			values[0][key] = value
		}
	}
	if !reflect.DeepEqual(values[0], values[1]) {
		return errors.New("the label's value differs")
	}
	return nil
}

// SamePayload compares part by part.
func SamePayload(got, want [][]byte) error {
	if slices.EqualFunc(got, want, bytes.Equal) {
		return nil
	}
	return fmt.Errorf("the payload is %v bytes, want %v bytes", sizes(got), sizes(want))
}

func sizes(parts [][]byte) []int {
	const most = 20
	list := []int{}
	for _, part := range parts[:min(len(parts), most)] {
		list = append(list, len(part))
	}
	return list
}

// Size is how many bytes label and payload have.
func (m *Message) Size() int {
	n := len(m.Label)
	for _, part := range m.Payload {
		n += len(part)
	}
	return n
}
