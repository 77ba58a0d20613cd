package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/perf/benchfmt"
)

// subject is what a benchmark is about; numbers that do not apply are 0.
type subject struct {
	kind, path          string
	size, credit, flows int
}

func (s subject) String() string {
	text := s.kind + " " + s.path
	if s.size > 0 {
		text += ", " + bytesText(float64(s.size))
	}
	if s.credit > 1 {
		text += fmt.Sprintf(", credit %d", s.credit)
	}
	if s.flows != 1 {
		text += fmt.Sprintf(", %d flows", s.flows)
	}
	return text
}

// samples are one round's value each, by unit.
type samples map[string][]float64

// results are a result file's content.
type results struct {
	subjects          []subject // in the file's order
	gateway, baseline map[subject]samples
	config            map[string]string
}

func readResults(path string) (*results, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	return parseResults(file, path)
}

func parseResults(r io.Reader, name string) (*results, error) {
	all := &results{gateway: map[subject]samples{}, baseline: map[subject]samples{}, config: map[string]string{}}
	if err := eachResult(r, name, all.take); err != nil {
		return nil, err
	}
	return all, nil
}

// eachResult calls take with each result of a file, what it is about and by whom
// it is. The result is valid until take returns. There has to be one.
func eachResult(r io.Reader, name string, take func(about subject, by string, result *benchfmt.Result)) error {
	reader := benchfmt.NewReader(r, name)
	some := false
	for reader.Scan() {
		switch record := reader.Result().(type) {
		case *benchfmt.Result:
			about, by, err := parseName(record.Name)
			if err != nil {
				return fmt.Errorf("%s: benchmark %s: %w", name, record.Name, err)
			}
			some = true
			take(about, by, record)
		case *benchfmt.SyntaxError:
			return record
		}
	}
	if err := reader.Err(); err != nil {
		return err
	}
	if !some {
		return fmt.Errorf("%s: no results", name)
	}
	return nil
}

func (all *results) take(s subject, by string, record *benchfmt.Result) {
	of := all.baseline
	if by == "gateway" {
		of = all.gateway
		if of[s] == nil {
			all.subjects = append(all.subjects, s)
		}
	}
	if of[s] == nil {
		of[s] = samples{}
	}
	for _, v := range record.Values {
		of[s][v.Unit] = append(of[s][v.Unit], v.Value)
	}
	for _, c := range record.Config {
		if value := string(c.Value); all.config[c.Key] == "" {
			all.config[c.Key] = value
		} else if c.Key == "date" && !strings.Contains(all.config[c.Key], value) {
			all.config[c.Key] += ", " + value // parts were measured again
		}
	}
}

func parseName(name benchfmt.Name) (s subject, by string, err error) {
	base, parts := name.Parts()
	s.kind = string(base)
	for _, part := range parts {
		key, value, _ := bytes.Cut(bytes.TrimPrefix(part, []byte("/")), []byte("="))
		var number *int
		switch string(key) {
		case "path":
			s.path = string(value)
		case "by":
			by = string(value)
		case "size":
			number = &s.size
		case "credit":
			number = &s.credit
		case "flows":
			number = &s.flows
		default:
			return s, by, fmt.Errorf("unknown part %s", part)
		}
		if number != nil {
			if *number, err = strconv.Atoi(string(value)); err != nil {
				return s, by, err
			}
		}
	}
	if s.path == "" || by != "gateway" && by != "baseline" {
		return s, by, errors.New("does not say which path it is about, or by whom")
	}
	return s, by, nil
}

// find answers the subjects that match, in the file's order.
func (all *results) find(match func(subject) bool) (found []subject) {
	for _, s := range all.subjects {
		if match(s) {
			found = append(found, s)
		}
	}
	return found
}

// bytesText is a size as people write it: in powers of 1024 if it is one, or a
// multiple.
func bytesText(n float64) string {
	switch {
	case n >= 1<<20 && int64(n)%(1<<20) == 0:
		return fmt.Sprintf("%d MiB", int64(n)>>20)
	case n >= 1<<10 && int64(n)%(1<<10) == 0:
		return fmt.Sprintf("%d KiB", int64(n)>>10)
	case n >= 1e9:
		return fmt.Sprintf("%.2f GB", n/1e9)
	case n >= 1e6:
		return strconv.FormatFloat(n/1e6, 'f', -1, 64) + " MB"
	default:
		return fmt.Sprintf("%.0f B", n)
	}
}
