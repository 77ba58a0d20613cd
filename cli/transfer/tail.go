package transfer

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/zioflow/gateway/broker/zio"
	"github.com/zioflow/gateway/cli/exit"
	"github.com/zioflow/gateway/cli/tables"
	zioflow "github.com/zioflow/gateway/clients/go"
)

// Tail takes a flow, and shows what comes without its data.
type Tail struct {
	terms `embed:""`

	Count uint64 `short:"n" default:"0" help:"End the flow after that many messages; 0 for as long as there are any." env:"-"`

	Words []string `arg:"" optional:"" name:"attribute" help:"Attributes of the flow, as NAME=VALUE. A VALUE that is JSON is taken as such."`
}

// Help is shown by kong.
func (*Tail) Help() string {
	return "A line for each message: its number in the flow, its size and its label, in which what would steer a " +
		"terminal stands as an escape. Ctrl-C ends the flow in good order."
}

// Run prints what comes to standard output, and what came of it to standard error.
func (c *Tail) Run() error { return inWords(c.run()) }

func (c *Tail) run() error {
	w, err := parse(c.Words)
	if err != nil {
		return exit.With(exit.Usage, err)
	}
	if len(w.others) > 0 {
		return exit.Errorf(exit.Usage, "attribute %q is not of the form NAME=VALUE", w.others[0])
	}
	ctx, stop := interruptible()
	defer stop()
	f, err := c.open(ctx, zio.Inject, w.attributes)
	if isInterrupt(err) {
		return nil
	}
	if err != nil {
		return err
	}
	m := newCounter()
	err = take(f, &lines{out: os.Stdout, json: c.JSON, left: c.Count}, m)
	if isInterrupt(err) && ctx.Err() != nil { // as it is meant to end
		err = nil
	}
	if err == nil {
		m.report(c.Via, "took", 0).print(os.Stderr, false)
	}
	return err
}

// lines is a sink that writes a line for each message.
type lines struct {
	out  io.Writer
	json bool
	left uint64 // how many more to take; 0 for any number
}

// maxLabel bounds, in bytes, what is shown of a label.
const maxLabel = 4096

// seen is what is told of a message, as JSON.
type seen struct {
	Seqno   uint64 `json:"seqno"`
	Granule uint64 `json:"granule"`
	Origin  uint64 `json:"origin"`
	Bytes   int    `json:"bytes"`
	Parts   []int  `json:"parts"`
	Label   string `json:"label"`
}

func (l *lines) take(dat zioflow.Dat) error {
	line := fmt.Sprintf("%7d  %9s  %s\n", dat.Seqno, tables.Bytes(int64(sizeOf(dat))), shown(string(dat.Label), maxLabel))
	if l.json {
		s := seen{dat.Seqno, dat.Granule, dat.Origin, sizeOf(dat), make([]int, len(dat.Payload)), string(dat.Label)}
		for i, part := range dat.Payload {
			s.Parts[i] = len(part)
		}
		text, err := json.Marshal(s)
		if err != nil {
			return err
		}
		line = tables.Escaped(string(text), inASCII) + "\n"
	}
	if _, err := io.WriteString(l.out, line); err != nil {
		return err
	}
	if l.left == 1 {
		return errEnough
	}
	if l.left > 0 {
		l.left--
	}
	return nil
}

func (l *lines) close() error { return nil }
func (l *lines) files() int   { return 0 }

// inASCII tells whether a character may stand in JSON as it is, where nothing else may.
func inASCII(r rune) bool { return r < 0x7f }
