package transfer

import (
	"errors"
	"fmt"
	"iter"
	"os"

	"github.com/zioflow/gateway/broker/zio"
	"github.com/zioflow/gateway/cli/exit"
	zioflow "github.com/zioflow/gateway/clients/go"
)

// Put gives a flow: files, what comes on standard input, or test data.
type Put struct {
	terms `embed:""`

	Count *uint64 `help:"How many messages of test data to give; 10 if it is not said."`
	Size  *int    `help:"The payload of each, in bytes; 64 if it is not said."`
	Chunk int     `default:"1048576" help:"How many bytes of a file make a message, at most." env:"-"`
	NPY   bool    `name:"npy" help:"Read every FILE, and standard input, as arrays of NumPy's, and give them as tensors. A FILE that ends with .npy is read so anyway." env:"-"`
	Raw   bool    `help:"Give files that end with .npy as the bytes that they are." env:"-"`

	Words []string `arg:"" optional:"" name:"file|attribute" help:"Files and folders to give, and - for standard input; without any, test data. Attributes of the flow, as NAME=VALUE: a VALUE that is JSON is taken as such, and a FILE that has a = begins with ./ or /."`
}

// Help is shown by kong.
func (*Put) Help() string {
	return "A file is given in messages of --chunk bytes, whose labels say its name, its size and where they belong; " +
		"one of NumPy's (.npy) as a tensor, in one message. Of a folder every file is given, under its path there. " +
		"get -o writes them again."
}

// Validate is called by kong.
func (c *Put) Validate() error {
	switch {
	case c.Chunk < 1 || c.Chunk > maxMessage:
		return fmt.Errorf("--chunk is %d, want 1 to %d", c.Chunk, maxMessage)
	case c.Size != nil && (*c.Size < 0 || *c.Size > maxMessage):
		return fmt.Errorf("--size is %d, want 0 to %d", *c.Size, maxMessage)
	case c.NPY && c.Raw:
		return errors.New("--npy and --raw exclude each other")
	}
	return nil
}

// Run prints what was given to standard output.
func (c *Put) Run() error { return inWords(c.run()) }

func (c *Put) run() error {
	w, err := parse(c.Words)
	if err != nil {
		return exit.With(exit.Usage, err)
	}
	if len(w.others) > 0 && (c.Count != nil || c.Size != nil) {
		return exit.Errorf(exit.Usage, "--count and --size are for test data, not for files")
	}
	all, total, err := inputs(w.others, c.Raw, c.NPY)
	if err != nil {
		return exit.With(exit.Usage, err)
	}
	ctx, stop := interruptible()
	defer stop()
	dats := messages(ctx, all, c.Chunk)
	if len(w.others) == 0 {
		dats, total = c.testData()
	}
	f, err := c.open(ctx, zio.Extract, w.attributes)
	if err != nil {
		return err
	}
	m := newMeter("put", total)
	err = give(f, dats, m)
	m.hide()
	if err == nil || isInterrupt(err) { // of a flow that has failed nobody knows how much has arrived
		m.report(c.Via, "gave", files(all)).print(os.Stdout, c.JSON)
	}
	return err
}

// files is how many of them are no streams.
func files(all []input) (n int) {
	for _, in := range all {
		if in.name != "" {
			n++
		}
	}
	return n
}

// testData are messages of zeros.
func (c *Put) testData() (dats iter.Seq2[zioflow.Dat, error], total int64) {
	count, size := uint64(10), 64
	if c.Count != nil {
		count = *c.Count
	}
	if c.Size != nil {
		size = *c.Size
	}
	dat := zioflow.Dat{Payload: [][]byte{make([]byte, size)}}
	return func(yield func(zioflow.Dat, error) bool) {
		for range count {
			if !yield(dat, nil) {
				return
			}
		}
	}, int64(count) * int64(size)
}

// give gives all, and ends the flow: in good order where it has not broken.
func give(f flow, dats iter.Seq2[zioflow.Dat, error], m *meter) error {
	for dat, err := range dats {
		if err != nil { // of this side: what was given is not all
			return errors.Join(err, f.end())
		}
		if err := f.give(dat); err != nil {
			return leave(f, err)
		}
		m.add(dat)
	}
	return f.end()
}

// leave ends a flow after an error of give or take, in good order where the flow itself
// has not failed.
func leave(f flow, err error) error {
	if isInterrupt(err) || errors.Is(err, zioflow.ErrTakerEnded) {
		return errors.Join(err, notAgain(f.end(), zioflow.ErrTakerEnded))
	}
	f.leave()
	return err
}

// notAgain is an error that says more than one does.
func notAgain(err, than error) error {
	if errors.Is(err, than) {
		return nil
	}
	return err
}
