package yamlfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// MaxSize is how large a file may be, in bytes.
const MaxSize = 8 << 20

// patience is how long a pipe may take.
const patience = 10 * time.Second

// Read reads a file, or what a pipe has until its end: one that nobody writes to has
// nothing. It never blocks for longer than 10 s. An error names the file.
func Read(path string) (*Document, error) {
	text, err := read(path)
	if err != nil {
		return nil, &Problem{File: path, Err: err}
	}
	if len(bytes.TrimSpace(text)) == 0 && path != os.DevNull { // somebody is about to write it
		return nil, &Problem{File: path, Err: errors.New("is empty")}
	}
	return Parse(path, text)
}

func read(path string) ([]byte, error) {
	// Without blocking, as to open a pipe without a writer would.
	file, err := os.OpenFile(path, os.O_RDONLY|nonBlocking, 0)
	if err != nil {
		return nil, cause(err)
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return nil, cause(err)
	}
	switch mode := info.Mode(); {
	case mode.IsDir():
		return nil, errors.New("is a directory, want a file")
	case mode.IsRegular() && info.Size() > MaxSize:
		return nil, tooLarge()
	case !mode.IsRegular() && mode.Type() != os.ModeNamedPipe && path != os.DevNull:
		return nil, errors.New("is neither a file nor a pipe")
	}
	_ = file.SetReadDeadline(time.Now().Add(patience)) // a regular file has none, and needs none
	text, err := io.ReadAll(io.LimitReader(file, MaxSize+1))
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, fmt.Errorf("its writer has not closed it within %v", patience)
	case err != nil:
		return nil, cause(err)
	case len(text) > MaxSize:
		return nil, tooLarge()
	}
	return text, nil
}

func tooLarge() error { return fmt.Errorf("has more than %d MiB", MaxSize>>20) }

// cause is an error without the file's name, which stands before it.
func cause(err error) error {
	if path, ok := errors.AsType[*os.PathError](err); ok {
		return path.Err
	}
	return err
}
