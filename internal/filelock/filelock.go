// Package filelock keeps a path to one process. What holds a lock is the open file: it ends
// with the process, however that ends.
package filelock

import (
	"errors"
	"os"
)

// ErrHeld is the error of a lock that another process has.
var ErrHeld = errors.New("another process has it")

// Lock is a file that is locked.
type Lock struct {
	path string
	file *os.File
}

// Make makes a file at the path, or takes the one there is, and locks it. It follows no
// symbolic link. Of several who try, in whatever processes, one has the lock; the others
// get ErrHeld.
func Make(path string) (*Lock, error) {
	for {
		file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|noFollow, 0o600)
		if err != nil {
			return nil, err
		}
		l, err := Of(file, path)
		if err != nil || l.there() {
			return l, err
		}
		_ = file.Close() // who had it has removed it meanwhile
	}
}

// Of locks an open file, which stands at the path. With an error it is closed.
func Of(file *os.File, path string) (*Lock, error) {
	if err := lock(file); err != nil {
		_ = file.Close()
		return nil, err
	}
	return &Lock{path, file}, nil
}

// there tells whether the file that is locked is the one that stands at the path.
func (l *Lock) there() bool {
	locked, err := l.file.Stat()
	if err != nil {
		return false
	}
	standing, err := os.Lstat(l.path)
	return err == nil && os.SameFile(locked, standing)
}

// Moved says that the file has another name now.
func (l *Lock) Moved(path string) { l.path = path }

// Remove removes the file, unless another stands in its place, and frees the path.
func (l *Lock) Remove() error {
	var err error
	if l.there() {
		err = remove(l.file, l.path)
	}
	if closing := l.file.Close(); !errors.Is(closing, os.ErrClosed) {
		err = errors.Join(err, closing)
	}
	return err
}
