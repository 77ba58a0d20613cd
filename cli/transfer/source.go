package transfer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/zioflow/gateway/cli/tables"
	zioflow "github.com/zioflow/gateway/clients/go"
)

// fileLabel says which file a message is of, in a DAT's label, under the key file. That of
// a tensor has a name alone.
type fileLabel struct {
	Name   string `json:"name"` // with slashes, below the folder that was given
	Size   *int64 `json:"size,omitempty"`
	Offset int64  `json:"offset,omitempty"`
}

// label is that of a DAT.
func (f fileLabel) label() []byte {
	text, _ := json.Marshal(struct { // which always can be
		Flow string    `json:"flow"`
		File fileLabel `json:"file"`
	}{"DAT", f})
	return text
}

// input is a file that is to be given, or a stream.
type input struct {
	path   string
	name   string // empty for a stream
	size   int64
	tensor bool // is given as TENS
}

// inputs are the files of these paths, and below them; total is how many bytes they have,
// below 0 if nobody knows. An error names the path.
func inputs(paths []string, raw, npy bool) (all []input, total int64, err error) {
	names := map[string]string{}
	add := func(in input) error {
		if other, twice := names[in.name]; twice && in.name != "" {
			return fmt.Errorf("%s and %s would both have the name %s", other, in.path, in.name)
		}
		if !utf8.ValidString(in.name) {
			return fmt.Errorf("%q: the name is not in UTF-8, as labels are", in.path)
		}
		names[in.name] = in.path
		in.tensor = npy || !raw && strings.HasSuffix(in.name, ".npy")
		all = append(all, in)
		total += in.size
		return nil
	}
	streams := false
	for _, p := range paths {
		if p == "-" {
			err, streams = add(input{path: p}), true
		} else {
			var stream bool
			stream, err = walk(p, add)
			streams = streams || stream
		}
		if err != nil {
			return nil, 0, err
		}
	}
	if streams {
		total = -1
	}
	return all, total, nil
}

// walk adds what a path stands for: a file, all files of a folder, or anything else that
// can be read, which is a stream.
func walk(root string, add func(input) error) (stream bool, err error) {
	about, err := os.Stat(root)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !strings.Contains(root, "/"):
		return false, fmt.Errorf("%s: there is no such file; an attribute has the form NAME=VALUE", root)
	case err != nil:
		return false, err
	case about.Mode().IsRegular():
		return false, add(input{path: root, name: filepath.Base(root), size: about.Size()})
	case !about.IsDir():
		return true, add(input{path: root})
	}
	base := filepath.Base(root)
	if base == "." || base == ".." || base == string(filepath.Separator) {
		base = ""
	}
	return false, filepath.WalkDir(root+string(filepath.Separator), func(p string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		about, err := entry.Info()
		if err != nil {
			return err
		}
		if !about.Mode().IsRegular() {
			note("%s is left out: it is no file", tables.Printable(p))
			return nil
		}
		below, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		return add(input{path: p, name: path.Join(base, filepath.ToSlash(below)), size: about.Size()})
	})
}

// messages are what is given of them. The last one comes with the error that there was.
func messages(ctx context.Context, all []input, chunk int) iter.Seq2[zioflow.Dat, error] {
	return func(yield func(zioflow.Dat, error) bool) {
		for _, in := range all {
			for dat, err := range in.messages(ctx, chunk) {
				if err != nil && !errors.Is(err, context.Cause(ctx)) {
					err = fmt.Errorf("%s: %w", in.path, err)
				}
				if !yield(dat, err) || err != nil {
					return
				}
			}
		}
	}
}

func (in input) messages(ctx context.Context, chunk int) iter.Seq2[zioflow.Dat, error] {
	return func(yield func(zioflow.Dat, error) bool) {
		file := os.Stdin
		if in.path != "-" {
			var err error
			if file, err = os.Open(in.path); err != nil {
				yield(zioflow.Dat{}, errors.Unwrap(err))
				return
			}
			defer func() { _ = file.Close() }()
		}
		var reader io.Reader = file
		if in.name == "" {
			reader = &interruptibleReader{ctx: ctx, r: file}
		}
		var err error
		switch {
		case in.tensor:
			err = in.tensors(reader, yield)
		case in.name == "":
			err = stream(reader, chunk, yield)
		default:
			err = in.pieces(reader, chunk, yield)
		}
		if err != nil && !errors.Is(err, errEnough) {
			yield(zioflow.Dat{}, err)
		}
	}
}

// errEnough: whoever takes the messages wants no more.
var errEnough = errors.New("enough")

// tensors gives each array of a file as a tensor.
func (in input) tensors(r io.Reader, yield func(zioflow.Dat, error) bool) error {
	for n := 0; ; n++ {
		t, err := readNpy(r)
		switch {
		case errors.Is(err, io.EOF) && (n > 0 || in.name == ""):
			return nil
		case errors.Is(err, io.EOF):
			return errors.New("it is empty, and so no array of NumPy's")
		case err != nil && strings.HasSuffix(in.name, ".npy"):
			return fmt.Errorf("%w (--raw gives it as the bytes that it is)", err)
		case err != nil:
			return err
		}
		var dat zioflow.Dat
		if in.name != "" && n == 0 {
			dat.Label = fileLabel{Name: in.name}.label()
		}
		if err := dat.SetTensors(nil, t); err != nil {
			return err
		}
		if !yield(dat, nil) {
			return errEnough
		}
	}
}

// stream gives what comes, as it comes.
func stream(r io.Reader, chunk int, yield func(zioflow.Dat, error) bool) error {
	for buffer := make([]byte, chunk); ; {
		n, err := r.Read(buffer)
		if n > 0 && !yield(zioflow.Dat{Payload: [][]byte{append([]byte(nil), buffer[:n]...)}}, nil) {
			return errEnough
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// pieces gives a file as it was when it was found: one that has become shorter is an error.
func (in input) pieces(r io.Reader, chunk int, yield func(zioflow.Dat, error) bool) error {
	label := fileLabel{Name: in.name, Size: &in.size}
	for {
		piece := make([]byte, min(int64(chunk), in.size-label.Offset))
		if n, err := io.ReadFull(r, piece); err != nil && !errors.Is(err, io.EOF) || n < len(piece) {
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				return fmt.Errorf("it has become shorter: %d bytes instead of %d", label.Offset+int64(n), in.size)
			}
			return err
		}
		dat := zioflow.Dat{Label: label.label()}
		if len(piece) > 0 { // MSG-7
			dat.Payload = [][]byte{piece}
		}
		if !yield(dat, nil) {
			return errEnough
		}
		if label.Offset += int64(len(piece)); label.Offset == in.size {
			return nil
		}
	}
}

// interruptibleReader reads what may make it wait for ever, such as a terminal, until its
// context ends. The read that waits then is left behind, and no other may follow.
type interruptibleReader struct {
	ctx    context.Context
	r      io.Reader
	buffer []byte // not the caller's, who has that again when the context ends
}

func (r *interruptibleReader) Read(b []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	if len(r.buffer) < len(b) {
		r.buffer = make([]byte, len(b))
	}
	type result struct {
		n   int
		err error
	}
	done := make(chan result, 1)
	go func() {
		n, err := r.r.Read(r.buffer[:len(b)])
		done <- result{n, err}
	}()
	select {
	case got := <-done:
		return copy(b, r.buffer[:got.n]), got.err
	case <-r.ctx.Done():
		return 0, context.Cause(r.ctx)
	}
}
