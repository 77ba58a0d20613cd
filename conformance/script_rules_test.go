package main_test

import (
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/zioflow/gateway/conformance/play"
	"github.com/zioflow/gateway/internal/script"
)

// ruleTable is the table of all rules with what shows them.
const ruleTable = "../docs/conformance.md"

var rewriteRules = flag.Bool("rewrite-rules", false, "write what shows each rule into "+ruleTable)

// TestRules proves that the table of rules is neither incomplete nor stale. It
// has every rule of the protocol page, in order. A row names exactly the tests
// and scenarios that themselves name the rule; only one that says
// "not implemented", and why, names none.
func TestRules(t *testing.T) {
	shown, err := findEvidence()
	if err != nil {
		t.Fatal(err)
	}
	for rule := range shown {
		if !slices.Contains(ruleIDs(), rule) {
			t.Errorf("%s is no rule of the protocol page, but named by %s", rule, strings.Join(shown[rule], separator))
		}
	}
	if *rewriteRules {
		if err := rewriteTable(shown); err != nil {
			t.Fatal(err)
		}
	}
	rows, err := readTable()
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, row := range rows {
		ids = append(ids, row.rule)
		if problem := row.check(shown[row.rule]); problem != "" {
			t.Errorf("%s: %s", row.rule, problem)
		}
	}
	if want := ruleIDs(); !slices.Equal(ids, want) {
		t.Errorf("the table has %d rules, %v,\nwant each of these %d once, in order: %v", len(ids), ids, len(want), want)
	}
}

// ruleIDs are the rules 1 to 74 of the protocol page.
func ruleIDs() (ids []string) {
	for _, family := range []struct {
		name  string
		count int
	}{{"MSG", 13}, {"FLOW", 22}, {"BRK", 23}, {"FILE", 5}, {"PEER", 11}} {
		for n := range family.count {
			ids = append(ids, family.name+"-"+strconv.Itoa(n+1))
		}
	}
	return ids
}

// separator stands between the tests and scenarios of a row.
const separator = " · "

// ruleRow is one row of the table.
type ruleRow struct {
	rule, says, shownBy, remark string
}

func (r ruleRow) String() string {
	return strings.TrimRight(fmt.Sprintf("| %s | %s | %s | %s", r.rule, r.says, r.shownBy, r.remark), " ") + " |"
}

// missing tells whether the row says that the rule is not implemented.
func (r ruleRow) missing() bool { return strings.HasPrefix(r.remark, "not implemented: ") }

// check says what is wrong with a row.
func (r ruleRow) check(shown []string) string {
	want := r
	want.shownBy = strings.Join(shown, separator)
	switch {
	case r.says == "":
		return "the row does not say what the rule says"
	case r.shownBy != want.shownBy:
		return fmt.Sprintf("the row does not name exactly what shows the rule (-rewrite-rules mends it):\ngot   %v\nwant  %v", r, want)
	case r.missing() && len(shown) > 0:
		return "the row says that the rule is not implemented, yet it is shown by " + r.shownBy
	case !r.missing() && len(shown) == 0:
		return "nothing shows the rule"
	}
	return ""
}

// readTable reads the rows; a cell must not hold a bar.
func readTable() (rows []ruleRow, err error) {
	text, err := os.ReadFile(ruleTable)
	for line := range strings.Lines(string(text)) {
		if row, ok := parseRow(line); ok {
			rows = append(rows, row)
		}
	}
	return rows, err
}

var ruleID = regexp.MustCompile(`\b(?:MSG|FLOW|BRK|FILE|PEER)-\d+\b`)

func parseRow(line string) (ruleRow, bool) {
	cells := strings.Split(strings.TrimSpace(line), "|")
	if len(cells) != 6 || !ruleID.MatchString(cells[1]) {
		return ruleRow{}, false
	}
	for i := range cells {
		cells[i] = strings.TrimSpace(cells[i])
	}
	return ruleRow{cells[1], cells[2], cells[3], cells[4]}, true
}

// rewriteTable writes what shows each rule into its row.
func rewriteTable(shown map[string][]string) error {
	text, err := os.ReadFile(ruleTable)
	if err != nil {
		return err
	}
	var out strings.Builder
	for line := range strings.Lines(string(text)) {
		if row, ok := parseRow(line); ok {
			row.shownBy = strings.Join(shown[row.rule], separator)
			line = row.String() + "\n"
		}
		out.WriteString(line)
	}
	return os.WriteFile(ruleTable, []byte(out.String()), 0o644)
}

// findEvidence finds, for each rule, what names it: scenarios in quotes, test
// functions, in Go or Python, without the rules in their names, and the scripts of the
// broker's and discovery's own tests by their path.
func findEvidence() (map[string][]string, error) {
	shown := map[string][]string{}
	scenarios, err := play.Load(os.DirFS("."), "scripts")
	if err != nil {
		return nil, err
	}
	for _, s := range scenarios {
		if strings.ContainsAny(s.Title, `|"·`) {
			return nil, fmt.Errorf("%v: the scenario's title has a bar, quote or dot", s.Pos)
		}
		for _, rule := range s.Rules {
			shown[rule] = append(shown[rule], `"`+s.Title+`"`)
		}
	}
	tests, err := findTests("..")
	for _, name := range slices.Sorted(maps.Keys(tests)) {
		for _, rule := range tests[name] {
			if !slices.Contains(shown[rule], name) {
				shown[rule] = append(shown[rule], name)
			}
		}
	}
	return shown, err
}

// foreign are directories in which nothing is this project's own.
var foreign = regexp.MustCompile(`^(\.\w+|node_modules|gen|bin)$`)

// scripted are directories in which pure parts have scripts of their own.
var scripted = regexp.MustCompile(`^(broker|zre)/`)

// findTests finds the tests and such scripts below a directory, with the
// rules that they name.
func findTests(root string) (map[string][]string, error) {
	found := map[string][]string{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && foreign.MatchString(entry.Name()):
			return fs.SkipDir
		case entry.IsDir():
			return nil
		}
		within, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		recorded := scripted.MatchString(within) && filepath.Base(filepath.Dir(path)) == "testdata"
		python := strings.HasPrefix(entry.Name(), "test_") && strings.HasSuffix(path, ".py")
		if !recorded && !python && !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(path)
		switch {
		case recorded && strings.HasSuffix(path, ".txt"):
			name := strings.TrimSuffix(within, ".txt")
			found[name], err = rulesInHeads(entry.Name(), text, err)
		case recorded:
			found[within] = rulesInComments(string(text))
		default:
			rulesInNames(found, filepath.Dir(within), string(text))
		}
		return err
	})
	return found, err
}

// rulesInHeads are the rules that the scenarios of a script show.
func rulesInHeads(name string, text []byte, err error) (rules []string, _ error) {
	if err != nil {
		return nil, err
	}
	all, err := script.Parse(name, string(text), "options")
	for _, s := range all {
		rules = append(rules, s.Rules...)
	}
	return rules, err
}

// rulesInComments are the rules that the comments of discovery's scripts name.
func rulesInComments(text string) (rules []string) {
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "#") {
			rules = append(rules, ruleID.FindAllString(line, -1)...)
		}
	}
	return rules
}

var (
	testFunction = regexp.MustCompile(`(?m)^(?:func ((?:Test|Fuzz)\w*)|(?:async )?def (test_\w*))\(`)
	ruleInName   = regexp.MustCompile(`_(MSG|FLOW|BRK|FILE|PEER)_(\d+)`)
)

// rulesInNames adds the test functions of a file and the rules in their names.
func rulesInNames(found map[string][]string, dir, text string) {
	for _, function := range testFunction.FindAllStringSubmatch(text, -1) {
		name := function[1] + function[2]
		rules := ruleInName.FindAllStringSubmatch(name, -1)
		if len(rules) == 0 {
			continue
		}
		short := dir + "." + ruleInName.Split(name, 2)[0]
		for _, rule := range rules {
			found[short] = append(found[short], rule[1]+"-"+rule[2])
		}
	}
}
