// Package execfile writes programs that can be run as soon as they are there.
package execfile

import (
	"os"
	"syscall"
)

// Write has the text be a program at path, which whoever owns it may run. It may be called
// concurrently, also while other programs are started.
//
// No process is forked in the meantime: until it runs its own program it has all files that
// were open here, and Linux refuses to run a program that somebody has open for writing
// ("text file busy", https://go.dev/issue/22315).
func Write(path, text string) error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	return os.WriteFile(path, []byte(text), 0o700) //nolint:gosec // it is to be run
}
