package zioflow_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestReadme has the README show nothing but what the examples run.
func TestReadme(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	examples, err := os.ReadFile("example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllSubmatch(readme, -1)
	if len(blocks) < 5 {
		t.Fatalf("the README has %d examples", len(blocks))
	}
	run := unindented(string(examples))
	for _, b := range blocks {
		if !strings.Contains(run, unindented(string(b[1]))) {
			t.Errorf("no example has\n%s", b[1])
		}
	}
}

// unindented leaves out the white space, and the mark of a comment, at which lines begin.
func unindented(text string) string {
	return regexp.MustCompile(`(?m)^[ \t]*(//)?[ \t]*`).ReplaceAllString(text, "")
}
