package conformance_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// scenario is an exchange of messages that was written down: who sends what,
// and what must come back. The format is described in scripts/README.md.
type scenario struct {
	file    string
	line    int // of its title
	name    string
	rules   []string
	options []string
	clients []transport
	engine  string // the only one that it is played on; empty for all
	// handlers is empty when no handler takes part but the gateway's own.
	handlers []transport
	steps    []scriptLine
}

// scriptLine is one step, as it stands in its file.
type scriptLine struct {
	number int
	text   string
}

// loadScenarios reads all files in a directory.
func loadScenarios(dir string) ([]*scenario, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	if err != nil || len(paths) == 0 {
		return nil, fmt.Errorf("no scripts in %s (%w)", dir, err)
	}
	var all []*scenario
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		found, err := parseScenarios(filepath.Base(path), string(text))
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

func parseScenarios(file, text string) (all []*scenario, err error) {
	var s *scenario
	for i, line := range strings.Split(text, "\n") {
		if line = withoutComment(line); line == "" {
			continue
		}
		key, value, isHead := cutHead(line)
		switch {
		case isHead && key == "scenario":
			s = &scenario{file: file, line: i + 1, name: value, clients: transports, handlers: transports}
			all = append(all, s)
		case s == nil:
			err = fmt.Errorf("stands before the first scenario")
		case isHead:
			err = s.head(key, value)
		default:
			s.steps = append(s.steps, scriptLine{i + 1, line})
		}
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %q %w", file, i+1, line, err)
		}
	}
	for _, s := range all {
		if len(s.rules) == 0 || len(s.steps) == 0 {
			return nil, fmt.Errorf("%s:%d: scenario %q shows no rule, or has no steps", file, s.line, s.name)
		}
		if !s.hasHandler() {
			s.handlers = nil
		}
	}
	return all, nil
}

// withoutComment drops what follows a # that begins the line or has two spaces
// in front.
func withoutComment(line string) string {
	line, _, _ = strings.Cut(" "+strings.TrimRight(line, " "), "  # ")
	if line = strings.TrimSpace(line); strings.HasPrefix(line, "#") {
		return ""
	}
	return line
}

var headKey = regexp.MustCompile(`^([a-z]+): +(.*)$`)

func cutHead(line string) (key, value string, ok bool) {
	found := headKey.FindStringSubmatch(line)
	if found == nil {
		return "", "", false
	}
	return found[1], found[2], true
}

func (s *scenario) head(key, value string) (err error) {
	switch key {
	case "rules":
		s.rules = strings.Fields(value)
	case "options":
		s.options = strings.Fields(value)
	case "engine":
		s.engine = value
	case "clients":
		s.clients, err = parseTransports(value)
	case "handlers":
		s.handlers, err = parseTransports(value)
	default:
		err = fmt.Errorf("is no key of a scenario's head")
	}
	return err
}

func parseTransports(value string) (list []transport, err error) {
	for _, word := range strings.Fields(value) {
		switch via := transport(word); via {
		case "native":
			list = append(list, viaClient, viaDealer)
		case viaClient, viaDealer, viaGRPC:
			list = append(list, via)
		default:
			return nil, fmt.Errorf("names %q, want CLIENT, DEALER, gRPC or native", word)
		}
	}
	return list, nil
}

func (s *scenario) hasHandler() bool {
	for _, step := range s.steps {
		if isHandler(step.text) {
			return true
		}
	}
	return false
}

// isHandler tells a handler from all others by its name, and by nothing else.
func isHandler(name string) bool { return strings.HasPrefix(name, "h") }

// scriptMessage is a message as it stands in a step.
type scriptMessage struct {
	label   []byte
	payload [][]byte
	// numbers are seqno, origin, granule and level, where they are given.
	numbers map[string]uint64
}

// parseMessage reads a label, payload parts and pairs of a word and a number.
func parseMessage(text string) (m scriptMessage, err error) {
	m.numbers = map[string]uint64{}
	if m.label, text, err = cutLabel(text); err != nil {
		return m, err
	}
	m.label = longLabel(m.label)
	words, err := cutWords(text)
	for i := 0; err == nil && i < len(words); i++ {
		word := words[i]
		switch {
		case word[0] == '"' || word[0] == '*':
			word, times := cutTimes(word)
			var part []byte
			part, err = parsePart(word)
			for range times {
				m.payload = append(m.payload, part)
			}
		case i+1 < len(words):
			i++
			m.numbers[word], err = strconv.ParseUint(words[i], 10, 64)
		default:
			err = fmt.Errorf("%q is neither payload nor a word with a number", word)
		}
	}
	return m, err
}

// cutLabel takes the label off the front: a JSON object as it stands, or a
// quoted string of which the content is the label.
func cutLabel(text string) (label []byte, rest string, err error) {
	if strings.HasPrefix(text, `"`) {
		quoted, err := strconv.QuotedPrefix(text)
		if err != nil {
			return nil, "", fmt.Errorf("label %s: %w", text, err)
		}
		content, err := strconv.Unquote(quoted)
		return []byte(content), text[len(quoted):], err
	}
	decoder := json.NewDecoder(strings.NewReader(text))
	var object json.RawMessage
	if err := decoder.Decode(&object); err != nil {
		return nil, "", fmt.Errorf("label %s: %w", text, err)
	}
	return object, text[decoder.InputOffset():], nil
}

var longString = regexp.MustCompile(`"\*\d+"`)

// longLabel puts a string of N bytes in the place of every "*N".
func longLabel(label []byte) []byte {
	return longString.ReplaceAllFunc(label, func(word []byte) []byte {
		n, _ := strconv.Atoi(string(word[2 : len(word)-1]))
		return fmt.Appendf(nil, `"%s"`, strings.Repeat("x", n))
	})
}

// cutTimes reads how many parts *NxM stands for; any other word for one.
func cutTimes(word string) (one string, times int) {
	if one, count, ok := strings.Cut(word, "x"); ok && word[0] == '*' {
		times, _ = strconv.Atoi(count)
		return one, times
	}
	return word, 1
}

// parsePart reads "text" or *N, which stands for N bytes.
func parsePart(word string) ([]byte, error) {
	if number, ok := strings.CutPrefix(word, "*"); ok {
		n, err := strconv.Atoi(number)
		return bytes.Repeat([]byte("0123456789"), n/10+1)[:n], err
	}
	text, err := strconv.Unquote(word)
	return []byte(text), err
}

// cutWords splits at spaces, but not within quotes.
func cutWords(text string) (words []string, err error) {
	for text = strings.TrimSpace(text); text != ""; text = strings.TrimSpace(text) {
		end := strings.IndexByte(text, ' ')
		if text[0] == '"' {
			quoted, err := strconv.QuotedPrefix(text)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", text, err)
			}
			end = len(quoted)
		}
		if end < 0 {
			end = len(text)
		}
		words, text = append(words, text[:end]), text[end:]
	}
	return words, nil
}

// parseRaw reads bytes: hexadecimal, "text", or HH*N for N equal bytes; a bar
// separates message parts.
func parseRaw(text string) ([][]byte, error) {
	words, err := cutWords(text)
	parts := [][]byte{nil}
	for i := 0; err == nil && i < len(words); i++ {
		if words[i] == "|" {
			parts = append(parts, nil)
			continue
		}
		var chunk []byte
		chunk, err = parseBytes(words[i])
		last := &parts[len(parts)-1]
		*last = append(*last, chunk...)
	}
	return parts, err
}

// parseBytes reads one word of raw bytes.
func parseBytes(word string) ([]byte, error) {
	if word[0] == '"' {
		text, err := strconv.Unquote(word)
		return []byte(text), err
	}
	digits, times, repeated := strings.Cut(word, "*")
	b, err := hex.DecodeString(digits)
	if err != nil || !repeated {
		return b, err
	}
	n, err := strconv.Atoi(times)
	return bytes.Repeat(b, n), err
}
