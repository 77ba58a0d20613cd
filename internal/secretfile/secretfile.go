// Package secretfile reads files of one line: keys and tokens.
package secretfile

import (
	"errors"
	"strings"

	"github.com/zioflow/gateway/internal/wholefile"
)

// Read reads a file of one line: a key or a token, without the space around it. An
// empty file is an error.
func Read(path string) (string, error) {
	text, err := wholefile.Read(path, wholefile.Keys)
	if err != nil {
		return "", err
	}
	secret := strings.TrimSpace(string(text))
	if secret == "" {
		return "", errors.New(path + " is empty")
	}
	return secret, nil
}
