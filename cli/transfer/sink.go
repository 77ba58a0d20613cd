package transfer

import (
	"bufio"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/zioflow/gateway/cli/tables"
	zioflow "github.com/zioflow/gateway/clients/go"
	"github.com/zioflow/gateway/internal/text"
)

// sink is where what was taken goes.
type sink interface {
	// take keeps one message.
	take(zioflow.Dat) error
	// close is called when no message comes any more. The error says what is not whole.
	close() error
	// files is how many were written.
	files() int
}

// counting is a sink that keeps nothing.
type counting struct{}

func (counting) take(zioflow.Dat) error { return nil }
func (counting) close() error           { return nil }
func (counting) files() int             { return 0 }

// stream is a sink that writes all payloads one after the other, or all tensors as arrays
// of NumPy's.
type streamSink struct {
	out      *bufio.Writer
	npy      bool
	messages int
}

func newStreamSink(w io.Writer, npy bool) *streamSink {
	return &streamSink{out: bufio.NewWriterSize(w, 64<<10), npy: npy}
}

func (s *streamSink) take(dat zioflow.Dat) error {
	s.messages++
	if s.npy {
		tensors, err := tensorsOf(dat, s.messages)
		if err != nil {
			return err
		}
		for _, t := range tensors {
			if err := writeNpy(s.out, t); err != nil {
				return err
			}
		}
		return s.out.Flush()
	}
	for _, part := range dat.Payload {
		if _, err := s.out.Write(part); err != nil {
			return err
		}
	}
	return s.out.Flush() // as it comes
}

func (s *streamSink) close() error { return s.out.Flush() }
func (s *streamSink) files() int   { return 0 }

// tensorsOf are those of the n-th message, which has to have some.
func tensorsOf(dat zioflow.Dat, n int) ([]zioflow.Tensor, error) {
	tensors, _, err := dat.Tensors()
	if err == nil && len(tensors) == 0 {
		err = errors.New("it has no tensors")
	}
	if err != nil {
		return nil, fmt.Errorf("message %d: %s", n, shown(err.Error(), maxWords))
	}
	return tensors, nil
}

// maxWords bounds, in bytes, what is shown of somebody else's text in an error.
const maxWords = 300

// shown is somebody else's text as a terminal may show it, cut to so many bytes, or a few
// times as many where they are escapes.
func shown(s string, limit int) string { return tables.Printable(text.Cut(s, limit)) }

// folder is a sink that writes files below a folder, and nowhere else. Each is written
// under another name, and given its own when it is whole.
type folder struct {
	root  *os.Root
	force bool // replaces what is there
	npy   bool // takes tensors alone

	messages, written int
	current           *partial // nil for none
}

// partial is a file that has not come whole.
type partial struct {
	name     string
	size, at int64
	temp     string
	file     *os.File
}

func newFolder(dir string, force, npy bool) (*folder, error) {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return &folder{root: root, force: force, npy: npy}, nil
}

func (d *folder) take(dat zioflow.Dat) error {
	d.messages++
	var label struct{ File *fileLabel }
	if len(dat.Label) > 0 {
		_ = json.Unmarshal(dat.Label, &label) // one that has no file, or another one's
	}
	if tensors, _, err := dat.Tensors(); d.npy || err == nil && len(tensors) > 0 {
		if tensors, err = tensorsOf(dat, d.messages); err != nil {
			return err
		}
		return d.tensors(label.File, tensors)
	}
	if label.File != nil && label.File.Size != nil {
		return d.piece(*label.File, dat.Payload)
	}
	for i, part := range dat.Payload {
		name := fmt.Sprintf("%06d.dat", d.messages)
		if len(dat.Payload) > 1 {
			name = fmt.Sprintf("%06d-%d.dat", d.messages, i)
		}
		if err := d.whole(name, func(w io.Writer) error { _, err := w.Write(part); return err }); err != nil {
			return err
		}
	}
	return nil
}

// tensors writes each as an array.
func (d *folder) tensors(file *fileLabel, tensors []zioflow.Tensor) error {
	for i, t := range tensors {
		name := fmt.Sprintf("%06d.npy", d.messages)
		switch {
		case len(tensors) > 1:
			name = fmt.Sprintf("%06d-%d.npy", d.messages, i)
		case file != nil:
			name = strings.TrimSuffix(file.Name, ".npy") + ".npy"
		}
		if err := d.whole(name, func(w io.Writer) error { return writeNpy(w, t) }); err != nil {
			return err
		}
	}
	return nil
}

// whole writes a file that has come whole.
func (d *folder) whole(name string, write func(io.Writer) error) error {
	if err := d.finished(); err != nil {
		return err
	}
	p, err := d.begin(fileLabel{Name: name, Size: new(int64)})
	if err != nil {
		return err
	}
	d.current = p
	out := bufio.NewWriter(p.file)
	if err := errors.Join(write(out), out.Flush()); err != nil {
		return fmt.Errorf("%s: %w", tables.Printable(name), errors.Join(err, d.discard()))
	}
	return d.place()
}

// piece writes a piece of a file that comes in several.
func (d *folder) piece(l fileLabel, payload [][]byte) error {
	if l.Offset == 0 {
		if err := d.finished(); err != nil {
			return err
		}
		p, err := d.begin(l)
		if err != nil {
			return err
		}
		d.current = p
	}
	p := d.current
	if p == nil || p.name != l.Name || p.size != *l.Size || p.at != l.Offset {
		return errors.Join(fmt.Errorf("message %d: a piece of %s from byte %d on does not follow what came before it",
			d.messages, shown(l.Name, maxWords), l.Offset), d.discard())
	}
	for _, part := range payload {
		if int64(len(part)) > p.size-p.at {
			return errors.Join(fmt.Errorf("message %d: %s has more than its %d bytes", d.messages, shown(l.Name, maxWords), p.size), d.discard())
		}
		n, err := p.file.Write(part)
		p.at += int64(n)
		if err != nil {
			return errors.Join(err, d.discard())
		}
	}
	if p.at < p.size {
		return nil
	}
	return d.place()
}

// finished says whether a file is still to come whole, before another one begins.
func (d *folder) finished() error {
	p := d.current
	if p == nil {
		return nil
	}
	return errors.Join(fmt.Errorf("%s is not written: %d of its %d bytes have come", shown(p.name, maxWords), p.at, p.size), d.discard())
}

// begin opens a file under another name in its folder.
func (d *folder) begin(l fileLabel) (*partial, error) {
	name, err := localName(l.Name)
	if err != nil {
		return nil, fmt.Errorf("message %d: the peer names a file %q: %w", d.messages, shown(l.Name, maxWords), err)
	}
	if *l.Size < 0 {
		return nil, fmt.Errorf("message %d: a file of %d bytes", d.messages, *l.Size)
	}
	if err := d.free(name); err != nil {
		return nil, err
	}
	in := filepath.Dir(name)
	if err := d.root.MkdirAll(in, 0o777); err != nil {
		return nil, d.explain(name, err)
	}
	p := &partial{name: l.Name, size: *l.Size, temp: filepath.Join(in, ".gateway-"+rand.Text()[:12]+".part")}
	if p.file, err = d.root.OpenFile(p.temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666); err != nil {
		return nil, d.explain(name, err)
	}
	return p, nil
}

// free says what is in the way of a file.
func (d *folder) free(name string) error {
	about, err := d.root.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return d.explain(name, err)
	case about.IsDir():
		return fmt.Errorf("%s is a folder", d.path(name))
	case !d.force:
		return fmt.Errorf("%s is there already; --force replaces it", d.path(name))
	}
	return nil
}

// place gives the current file, which is whole, its own name.
func (d *folder) place() error {
	p := d.current
	d.current = nil
	name, err := localName(p.name)
	if err == nil {
		err = p.file.Close()
	}
	if err == nil && d.force {
		err = d.root.Rename(p.temp, name)
	} else if err == nil {
		err = d.link(p.temp, name)
	}
	if err != nil {
		return errors.Join(d.explain(name, err), notAgain(d.root.Remove(p.temp), fs.ErrNotExist))
	}
	d.written++
	return nil
}

// link renames a file to a name that nobody may have taken meanwhile.
func (d *folder) link(temp, name string) error {
	err := d.root.Link(temp, name)
	switch {
	case err == nil:
		return d.root.Remove(temp)
	case errors.Is(err, fs.ErrExist):
		return d.free(name)
	}
	if err := d.free(name); err != nil { // a file system without links
		return err
	}
	return d.root.Rename(temp, name)
}

// discard forgets the current file.
func (d *folder) discard() error {
	p := d.current
	if d.current = nil; p == nil {
		return nil
	}
	return errors.Join(p.file.Close(), d.root.Remove(p.temp))
}

func (d *folder) close() error { return errors.Join(d.finished(), d.root.Close()) }
func (d *folder) files() int   { return d.written }

// path is a file's, as its user sees it.
func (d *folder) path(name string) string {
	return shown(filepath.Join(d.root.Name(), name), maxWords)
}

// explain names the file of an error.
func (d *folder) explain(name string, err error) error {
	if fault, ok := errors.AsType[*fs.PathError](err); ok {
		err = fault.Err
	}
	return fmt.Errorf("%s: %w", d.path(name), err)
}

// maxName bounds a file's name with its folders, in bytes.
const maxName = 4096

// localName is the name that a peer gives to a file, as this system writes it. It leads
// nowhere but below a folder. Symbolic links that are there already are os.Root's to see.
func localName(name string) (string, error) {
	if len(name) > maxName {
		return "", fmt.Errorf("it has %d bytes, at most %d are taken", len(name), maxName)
	}
	if !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
		return "", errors.New("it has characters that no name should have")
	}
	if name == "." || path.Clean(name) != name {
		return "", errors.New("it is no path below a folder")
	}
	local, err := filepath.Localize(name)
	if err != nil {
		return "", errors.New("it is no path below a folder")
	}
	return local, nil
}
