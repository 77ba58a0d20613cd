package main

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const panels = `[
	{"Title":"Ratio","X":"size","Y":"ratio","Categories":["100 B","4 KiB"],"Bars":true,"Series":[
		{"Name":"native","Median":[0.9,null],"Low":[0.8,null],"High":[1.1,null]}]},
	{"Title":"Rate","X":"size","Y":"MB/s","Categories":["100 B","4 KiB"],"Series":[
		{"Name":"gateway","Median":[10,200]},{"Name":"baseline","Dashed":true,"Median":[12,null]}]}
]`

// What is drawn is XML, and says what it shows.
func TestChart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "chart.svg")
	if err := run([]string{path}, strings.NewReader(panels)); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for decoder := xml.NewDecoder(strings.NewReader(string(text))); ; {
		if _, err := decoder.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{"<svg", "Ratio", "Rate", "MB/s", "100 B", "4 KiB", "native", "gateway", "baseline"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the chart does not say %q", want)
		}
	}
}

func TestBadPanels(t *testing.T) {
	for name, text := range map[string]string{
		"none":       `[]`,
		"no JSON":    `x`,
		"no match":   `[{"Categories":["a","b"],"Series":[{"Median":[1]}]}]`,
		"two things": `{}`,
	} {
		if err := run([]string{filepath.Join(t.TempDir(), "chart.svg")}, strings.NewReader(text)); err == nil {
			t.Errorf("%s: drawn", name)
		}
	}
}
