package main

import (
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/perf/benchfmt"
)

// mergeCommand puts what was measured again in the place of what there was.
type mergeCommand struct {
	Old string `arg:"" help:"Result file to begin with."`
	New string `arg:"" help:"Result file of some parts."`
	Out string `arg:"" help:"File for the results; may be one of the two."`
}

// Run implements the command.
func (c *mergeCommand) Run() error {
	old, err := readLines(c.Old)
	if err != nil {
		return err
	}
	now, err := readLines(c.New)
	if err != nil {
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(c.Out), filepath.Base(c.Out)+".*")
	if err != nil {
		return err
	}
	record, err := newRecorder(file)
	if err == nil {
		err = writeLines(record.out, merge(old, now))
	}
	if err = errors.Join(err, file.Chmod(0o644), file.Close()); err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	return os.Rename(file.Name(), c.Out)
}

// line is a result with what it is about.
type line struct {
	about  subject
	result *benchfmt.Result
}

func readLines(path string) (lines []line, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	err = eachResult(file, path, func(about subject, _ string, r *benchfmt.Result) {
		lines = append(lines, line{about, r.Clone()})
	})
	return lines, err
}

// merge returns the old lines, with the new ones in the place of those that are
// about the same; what is new stands at the end.
func merge(old, now []line) (all []line) {
	renewed := map[subject][]line{}
	for _, l := range now {
		l.result = without(l.result, keyOnly)
		renewed[l.about] = append(renewed[l.about], l)
	}
	done := map[subject]bool{}
	insert := func(about subject) {
		if !done[about] {
			done[about] = true
			all = append(all, renewed[about]...)
		}
	}
	for _, l := range old {
		if renewed[l.about] == nil {
			all = append(all, line{l.about, without(l.result, keyOnly)})
			continue
		}
		insert(l.about)
	}
	for _, l := range now {
		insert(l.about)
	}
	return all
}

// without is a result whose head does not say something.
func without(r *benchfmt.Result, key string) *benchfmt.Result {
	r = r.Clone()
	r.SetConfig(key, "")
	return r
}

func writeLines(out *benchfmt.Writer, lines []line) error {
	for _, l := range lines {
		if err := out.Write(l.result); err != nil {
			return err
		}
	}
	return nil
}
