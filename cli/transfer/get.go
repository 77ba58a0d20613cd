package transfer

import (
	"errors"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/zioflow/gateway/broker/zio"
	"github.com/zioflow/gateway/cli/exit"
)

// Get takes a flow, and counts, writes or passes on what comes.
type Get struct {
	terms `embed:""`

	Output string `short:"o" help:"Write what comes to files in this folder, or to standard output for -. Without it, it is only counted." placeholder:"DIR" env:"-"`
	NPY    bool   `name:"npy" help:"Write tensors as arrays of NumPy's, to standard output unless --output says where. What is no tensor is an error." env:"-"`
	Force  bool   `help:"Replace files that are there already." env:"-"`

	Words []string `arg:"" optional:"" name:"attribute" help:"Attributes of the flow, as NAME=VALUE. A VALUE that is JSON is taken as such. A - stands for --output -."`
}

// Help is shown by kong.
func (*Get) Help() string {
	return "With --output DIR, files that put gives are written under their names, and never outside DIR; tensors as " +
		"NUMBER.npy, other messages as NUMBER.dat. A file appears when it is whole, and replaces another one with --force alone."
}

// Run prints what came to standard output, or to standard error where that has the data.
func (c *Get) Run() error { return inWords(c.run()) }

func (c *Get) run() (err error) {
	w, err := parse(c.Words)
	if err != nil {
		return exit.With(exit.Usage, err)
	}
	if slices.Equal(w.others, []string{"-"}) && (c.Output == "" || c.Output == "-") {
		c.Output = "-"
	} else if len(w.others) > 0 {
		return exit.Errorf(exit.Usage, "attribute %q is not of the form NAME=VALUE", w.others[0])
	}
	to, results, err := c.sink()
	if err != nil {
		return exit.With(exit.Usage, err)
	}
	ctx, stop := interruptible()
	defer stop()
	f, err := c.open(ctx, zio.Inject, w.attributes)
	if err != nil {
		return errors.Join(err, to.close())
	}
	m := newMeter("get", -1)
	err = errors.Join(take(f, to, m), to.close())
	m.hide()
	if err == nil || isInterrupt(err) || to.files() > 0 {
		m.report(c.Via, "took", to.files()).print(results, c.JSON)
	}
	return err
}

// sink is where what comes goes, and where to print what came of it.
func (c *Get) sink() (to sink, results io.Writer, err error) {
	switch {
	case c.Output == "-", c.Output == "" && c.NPY:
		// A reader that has had enough is an error of writing, and does not end the process.
		signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
		return newStreamSink(os.Stdout, c.NPY), os.Stderr, nil
	case c.Output == "":
		return counting{}, os.Stdout, nil
	}
	to, err = newFolder(c.Output, c.Force, c.NPY)
	return to, os.Stdout, err
}

// take takes all, and ends the flow: in good order where it has not broken.
func take(f flow, to sink, m *meter) error {
	for {
		dat, err := f.take()
		if errors.Is(err, io.EOF) {
			return f.end()
		}
		if err != nil {
			return leave(f, err)
		}
		m.add(dat)
		switch err := to.take(dat); {
		case errors.Is(err, errEnough):
			return f.end()
		case err != nil:
			return errors.Join(err, f.end())
		}
	}
}
