package yamlfile

import (
	"bytes"
	"errors"
	"os"

	"github.com/zioflow/gateway/internal/wholefile"
)

// MaxSize is how large a file may be, in bytes.
const MaxSize = 8 << 20

// Read reads a file, or what a pipe has until its end: one that nobody writes to has
// nothing. It never blocks for longer than 10 s. An error names the file.
func Read(path string) (*Document, error) {
	text, err := wholefile.Read(path, MaxSize)
	if err != nil {
		return nil, &Problem{File: path, Err: wholefile.Cause(err)}
	}
	if len(bytes.TrimSpace(text)) == 0 && path != os.DevNull { // somebody is about to write it
		return nil, &Problem{File: path, Err: errors.New("is empty")}
	}
	return Parse(path, text)
}
