//go:build !unix

package filelock

import (
	"errors"
	"os"
)

const noFollow = 0

// lock does nothing: there, a file that is open can't be removed or replaced, and the bind
// of an address that is in use fails.
func lock(*os.File) error { return nil }

// remove closes the file before: one that is open can't be removed.
func remove(f *os.File, path string) error { return errors.Join(f.Close(), os.Remove(path)) }
