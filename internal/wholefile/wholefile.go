// Package wholefile reads files that are small if they are what was meant: keys, tokens,
// certificates, configurations.
package wholefile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
)

// Keys is how large a file of keys, tokens or certificates may be, in bytes.
const Keys = 1 << 20

// patience is how long a pipe may take.
const patience = 10 * time.Second

// Read reads a file that has at most limit bytes, or what a pipe has until its end: one that
// nobody writes to has nothing. It never blocks for longer than 10 s. Of devices it takes
// [os.DevNull] alone, as an empty file. Errors are [*fs.PathError], and name the file.
func Read(path string, limit int) ([]byte, error) {
	// Without blocking, as to open a pipe without a writer would.
	file, err := os.OpenFile(path, os.O_RDONLY|nonBlocking, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	text, err := read(file, limit)
	if _, names := errors.AsType[*fs.PathError](err); err != nil && !names {
		err = &fs.PathError{Op: "read", Path: path, Err: err}
	}
	return text, err
}

// Cause is an error of Read without the file's name, for who tells that elsewhere.
func Cause(err error) error {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return path.Err
	}
	return err
}

func read(file *os.File, limit int) ([]byte, error) {
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	switch mode := info.Mode(); {
	case mode.IsDir():
		return nil, errors.New("is a directory, want a file")
	case mode.IsRegular() && info.Size() > int64(limit):
		return nil, tooLarge(limit)
	case !mode.IsRegular() && mode.Type() != os.ModeNamedPipe && file.Name() != os.DevNull:
		return nil, errors.New("is neither a file nor a pipe")
	}
	_ = file.SetReadDeadline(time.Now().Add(patience)) // a regular file has none, and needs none
	text, err := io.ReadAll(io.LimitReader(file, int64(limit)+1))
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, fmt.Errorf("its writer has not closed it within %v", patience)
	case err != nil:
		return nil, err
	case len(text) > limit:
		return nil, tooLarge(limit)
	}
	return text, nil
}

func tooLarge(limit int) error {
	if limit%(1<<20) == 0 {
		return fmt.Errorf("has more than %d MiB", limit>>20)
	}
	return fmt.Errorf("has more than %d bytes", limit)
}
