package yamlfile_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/zioflow/gateway/internal/yamlfile"
)

// TestRefused: what is wrong, with its place.
func TestRefused(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct{ text, want string }{
		"a list at the top":      {"- a\n", "f:1:1: want keys with values, such as max-credit: 100"},
		"a text at the top":      {"hello\n", "f:1:1: want keys with values, such as max-credit: 100"},
		"a key twice":            {"a: 1\nb: 2\na: 3\n", "f:3:1: the key a stands here again: it is in line 1 already"},
		"twice, further down":    {"a: {b: 1, b: 2}\n", "f:1:11: the key b stands here again: it is in line 1 already"},
		"two of them":            {"a: 1\na: 2\na: 3\n", "f:2:1: the key a stands here again: it is in line 1 already\nf:3:1: the key a stands here again: it is in line 1 already"},
		"two documents":          {"a: 1\n---\nb: 2\n", "f:2:1: a second document begins: one file is one document; join them without the ---"},
		"a second one, wrong":    {"a: 1\n---\nb: [\n", "f:4:1: while parsing a flow node: want a value"},
		"UTF-16":                 {"\xff\xfea\x00", "f:1:1: is UTF-16: save it as UTF-8"},
		"Latin-1":                {"a: 1\nb: M\xfcnchen\n", "f:2:5: the byte 0xfc is no UTF-8"},
		"NUL":                    {"a: \x00\n", "f:1:4: the control character 0x00 is no text"},
		"an open list":           {"a: [1\n", "f:1:4: while parsing a flow sequence: want ',' or ']'"},
		"an open text":           {"a: \"x\n", "f:1:4: while scanning a quoted scalar: unexpected end of stream"},
		"two colons":             {"a: b: c\n", "f:1:5: a text with this in it has to be in quotes"},
		"brackets in a text":     {"a: [::1]:7575\n", "f:1:9: a text with this in it has to be in quotes"},
		"quotes in a text":       {"a: \"b\" c\n", "f:1:8: a text with this in it has to be in quotes"},
		"an indent":              {"a:\n  - b\n c: d\n", "f:3:2: begins in another column than what it belongs to: indent both alike"},
		"too far to the left":    {" a: 1\nb: 2\n", "f:2:1: begins in another column than what it belongs to: indent both alike"},
		"too far to the right":   {"a: 1\n  b: 2\n", "f:2:4: begins in another column than what it belongs to: indent both alike"},
		"an item to the right":   {"a:\n- 1\n  - b: 2\n  c: 3\n", "f:3:6: begins in another column than what it belongs to: indent both alike"},
		"a comment before it":    {"a: 1 # x\n  b: 2\n", "f:2:3: begins in another column than what it belongs to: indent both alike"},
		"a tab":                  {"a:\n\tb: 1\n", "f:2:1: a tab does not indent: use spaces"},
		"a tab at first":         {"\ta: 1\n", "f:1:1: a tab does not indent: use spaces"},
		"a tab behind a space":   {"a:\n  b: 1\n \tc: 1\n", "f:3:2: a tab does not indent: use spaces"},
		"a tab before an item":   {"a:\n\t- 1\n", "f:2:1: a tab does not indent: use spaces"},
		"a character":            {"a: @x\n", "f:1:4: nothing can begin with this character: put the text in quotes"},
		"an alias to nothing":    {"a: *no\n", "f:1:4: there is no anchor &no before it; a text that begins with * has to be in quotes"},
		"every interface":        {"a: *:7575\n", "f:1:4: there is no anchor &:7575 before it; a text that begins with * has to be in quotes"},
		"YAML 1.2":               {"# x\n%YAML 1.2\n---\na: 1\n", ""},
		"YAML 1.3":               {"%YAML 1.3\n---\na: 1\n", "f:1:1: is another version of YAML than 1.1 and 1.2"},
		"YAML 1.2, and a slip":   {"%YAML 1.2\r\n---\r\na: [\r\n", "f:4:1: while parsing a flow node: want a value"},
		"lines of an old Mac":    {"a: 1\rb: 1\ra: 2\r", "f:3:1: the key a stands here again: it is in line 1 already"},
		"lines of Unicode":       {"a: 1\u0085b: 1\u2028a: \xff", "f:3:4: the byte 0xff is no UTF-8"},
		"an alias to itself":     {"a: &a [*a]\n", "f:1:8: a stands for itself"},
		"a key that is a list":   {"? [a]\n: b\n", "f:1:3: a list or a mapping can't be a key"},
		"somebody else's tag":    {"a: !include x\n", "f:1:4: the tag !include means nothing here"},
		"a program's tag":        {"a: !!python/object x\n", "f:1:4: the tag !!python/object means nothing here"},
		"a text that is merged":  {"a: &a x\nb: {<<: *a}\n", "f:2:9: only mappings can be merged"},
		"deep":                   {"a: " + strings.Repeat("[", 60) + strings.Repeat("]", 60), "f:1:54: is nested more than 50 deep"},
		"very deep":              {strings.Repeat("[", 20_000), "f:1: exceeded max depth"},
		"deep by indicators":     {"a:\n  " + strings.Repeat("- ", 20_000) + "x", "f:2: exceeded max depth"},
		"deep by aliases":        {deepAliases(60), "is nested more than 50 deep"},
		"a billion laughs":       {laughs("[%s]", ", "), "stands for more than 200000 values"},
		"laughs of merge keys":   {laughs("{<<: [%s], k%[2]d: 1}", ", "), "stands for more than 200000 values"},
		"a million keys":         {manyKeys(101_000), "stands for more than 200000 values"},
		"a million of the same":  {"a: {" + strings.Repeat("k: 1, ", 9_000) + "}", "f:1:11: the key k stands here again"},
		"a million empty keys":   {"a: {" + strings.Repeat("?,", 9_000) + "}", "f:1:7: the key ? stands here again"},
		"a key of a mebibyte":    {strings.Repeat("k", 1<<20) + ": 1\n", ""},
		"a question of keys":     {"? " + strings.Repeat("? ", 20_000) + "x", "f:1: exceeded max depth"},
		"no more than a comment": {"# x\n", ""},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			_, err := yamlfile.Parse("f", []byte(c.text))
			if c.want == "" {
				if err != nil {
					t.Errorf("%v", err)
				}
				return
			}
			if err == nil {
				t.Fatal("was read")
			}
			first, rest, begun := strings.Cut(c.want, ": exceeded")
			got := err.Error()
			said := got == c.want || len(c.text) > 500 && strings.Contains(got, c.want)
			if begun {
				said = strings.HasPrefix(got, first) && strings.Contains(got, "exceeded"+rest)
			}
			if !said {
				t.Errorf("%.300s\nwant\n%s", got, c.want)
			}
		})
	}
}

func deepAliases(n int) string {
	text := "a0: &a0 x\n"
	for i := 1; i < n; i++ {
		text += fmt.Sprintf("a%d: &a%d [*a%d]\n", i, i, i-1)
	}
	return text
}

func laughs(form, between string) string {
	text := "a0: &a0 {k: lol}\n"
	for i := 1; i < 20; i++ {
		nine := strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d", i-1)+between, 9), between)
		text += fmt.Sprintf("a%d: &a%d ", i, i) + strings.ReplaceAll(strings.ReplaceAll(form, "%[2]d", fmt.Sprint(i)), "%s", nine) + "\n"
	}
	return text
}

func manyKeys(n int) string {
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, "k%d: 1\n", i)
	}
	return text.String()
}

// TestRead: what is no file to read is told, and nothing is waited for.
func TestRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	huge := write("huge", "")
	if err := os.Truncate(huge, 100<<20); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		dir: "is a directory, want a file", filepath.Join(dir, "none"): "no such file or directory",
		write("empty", ""): "is empty", huge: "has more than 8 MiB", "/dev/zero": "is neither a file nor a pipe",
	} {
		if _, err := yamlfile.Read(path); err == nil || err.Error() != path+": "+want {
			t.Errorf("%s: %v, want %s", path, err, want)
		}
	}
	for _, path := range []string{write("bom", "\xef\xbb\xbfa: 1\n"), write("windows", "a: 1\r\n"), write("dashes", "---\na: 1\n...\n---\n"), os.DevNull} {
		d, err := yamlfile.Read(path)
		if err != nil {
			t.Error(err)
		} else if keys := d.Keys(); path != os.DevNull && (len(keys) != 1 || keys[0].Name != "a" || keys[0].Value.Value != "1") {
			t.Errorf("%s has %v", path, keys)
		}
	}
}

const sample = `# a
x: &base {name: b, exec: {command: [a, b]}}
routes:
- name: first
  exec:
    command:
    - one
    - two
- <<: *base
  a.b: {c: 1}
- {name: third}
`

// TestFind: a path leads to where its value stands, or to its key, or as far as it goes.
func TestFind(t *testing.T) {
	t.Parallel()
	d, err := yamlfile.Parse("f", []byte(sample))
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"routes": "3:1", "routes[0]": "4:3", "routes[0].name": "4:9", "routes[0].exec": "5:3", "routes[0].exec.command": "6:5",
		"routes[0].exec.command[1]": "8:7", "routes[0].exec.nothing": "5:3", "routes[1].exec.command[1]": "2:40",
		"routes[1].a.b.c": "10:12", "routes[2].name": "11:10", "routes[2]": "11:3", "routes[3].name": "3:1", "routes[-1]": "3:1", "nothing": "",
	} {
		got := ""
		if n := d.Find(path); n != nil {
			got = fmt.Sprintf("%d:%d", n.Line, n.Column)
		}
		if got != want {
			t.Errorf("%s is at %s, want %s", path, got, want)
		}
	}
	value, err := d.Value(d.Keys()[1].Value)
	first := map[string]any{"name": "first", "exec": map[string]any{"command": []any{"one", "two"}}}
	if err != nil || !reflect.DeepEqual(value.([]any)[0], first) {
		t.Errorf("%v, %v", value, err)
	}
}

// TestExcerpt: the line and a caret below its place, whatever the line is.
func TestExcerpt(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"max-flow: [1\n":                    "    1 | max-flow: [1\n      |           ^",
		"a: 1\n\"\tü\": b: c\n":             "    2 | \"\tü\": b: c\n      |  \t     ^",
		"a: \"" + strings.Repeat("x", 300):  "    1 | a: \"" + strings.Repeat("x", 95) + "…\n      |    ^",
		strings.Repeat("x", 300) + ": b: c": "    1 | …" + strings.Repeat("x", 47) + ": b: c\n      | " + strings.Repeat(" ", 51) + "^",
		"a: \u0085b\u2028c: d: e\r\n":       "",
		"a: 1\rb: 2\rc: *x\r":               "    3 | c: *x\n      |    ^",
		"a: \"b\u2028c\"\nb: *x\n":          "    3 | b: *x\n      |    ^",
		"a: 1\r\nb: *x\r\n":                 "    2 | b: *x\n      |    ^",
	} {
		_, err := yamlfile.Parse("f", []byte(text))
		p, ok := errors.AsType[*yamlfile.Problem](err)
		if !ok {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if got := p.Excerpt(); want != "" && got != want {
			t.Errorf("%q:\n%s\nwant\n%s", text, got, want)
		}
	}
}

// TestExplain: of a file that is named in another one, that one's line is shown.
func TestExplain(t *testing.T) {
	t.Parallel()
	_, inner := yamlfile.Parse("identities.yaml", []byte("a: 1\na: 2\na: 3\n"))
	outer, err := yamlfile.Parse("gateway.yaml", []byte("identities: identities.yaml\n"))
	if err != nil {
		t.Fatal(err)
	}
	got := yamlfile.Explain(fmt.Errorf("wrong: %w", outer.At(outer.Find("identities"), inner)))
	want := "wrong: gateway.yaml:1:13: identities.yaml:2:1: the key a stands here again: it is in line 1 already\n" +
		"    2 | a: 2\n      | ^\nidentities.yaml:3:1: the key a stands here again: it is in line 1 already\n    3 | a: 3\n      | ^"
	if got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

// TestLoad: all that does not fit the Go value is told, in words of who writes files.
func TestLoad(t *testing.T) {
	t.Parallel()
	var into struct {
		Names []struct {
			Name    string   `yaml:"name"`
			Limit   int      `yaml:"max-flows"`
			Roles   []string `yaml:"roles"`
			Expires string   `yaml:"expires"`
		} `yaml:"identities"`
	}
	load := func(text string) error {
		d, err := yamlfile.Parse("f", []byte(text))
		if err == nil {
			err = d.Load(&into)
		}
		return err
	}
	if err := load("identities:\n- name: a\n  expires: 2027-01-31T12:00:00Z\n  roles: [b]\n"); err != nil || into.Names[0].Expires != "2027-01-31T12:00:00Z" {
		t.Errorf("%v, %v", into, err)
	}
	err := load("identities:\n- nam: a\n  max-flows: many\n  roles: client\n- [b]\nidentity: []\n")
	want := `f:2:3: nam is not known here; did you mean name?
f:3:14: is "many", want a whole number
f:4:10: is "client", want a list
f:5:3: is a list, want keys with values
f:6:1: identity is not known here; did you mean identities?`
	if err == nil || err.Error() != want {
		t.Errorf("%v\nwant\n%s", err, want)
	}
}

// FuzzParse: whatever a file holds, it is read or refused with a place in it.
func FuzzParse(f *testing.F) {
	for _, text := range []string{sample, "a: [1\n", "\xef\xbb\xbfa: &x {<<: *x}\n", "a: !!str\n---\n...\n", "? [a]\n: b\n", "%YAML 1.2\n---\na: |+2\n   x\n"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		d, err := yamlfile.Parse("f", text)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "f:") {
				t.Errorf("%v: has no place", err)
			}
			_ = yamlfile.Explain(err)
			return
		}
		for _, k := range d.Keys() {
			if d.Find(k.Name) == nil && k.Name != "" && !strings.ContainsAny(k.Name, ".[") {
				t.Errorf("%q is not found", k.Name)
			}
			_, _ = d.Strings(k.Value)
			_, _ = d.Value(k.Value)
		}
		var into struct {
			A []struct{ B string } `yaml:"a"`
		}
		_ = d.Load(&into)
	})
}
