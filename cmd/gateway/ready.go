package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/zioflow/gateway/gateway"
	"github.com/zioflow/gateway/internal/filelock"
	"github.com/zioflow/gateway/server/admin"
)

// maxReady bounds what is read of a file to tell whether it is a ready file, in bytes.
const maxReady = 1 << 20

// ready is the line that tells where the gateway can be reached.
func ready(endpoints []admin.Endpoint) string {
	var parts []string
	last := ""
	for _, e := range endpoints {
		if e.Transport == last {
			parts[len(parts)-1] += "," + e.Address
			continue
		}
		last = e.Transport
		parts = append(parts, e.Transport+" "+e.Address)
	}
	return "ready: " + strings.Join(parts, "  ")
}

// readyFile is the file with the addresses of a gateway that runs, which holds it locked.
// A nil one does nothing.
type readyFile struct {
	lock *filelock.Lock
	gone sync.Once
}

// writeReady writes the addresses to a file, which appears complete.
func writeReady(path string, bound gateway.Addresses) (*readyFile, error) {
	text, err := json.Marshal(bound)
	if err != nil {
		return nil, err
	}
	temporary, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return nil, err
	}
	lock, err := filelock.Of(temporary, temporary.Name())
	if err != nil {
		return nil, errors.Join(err, os.Remove(temporary.Name()))
	}
	_, err = temporary.Write(append(text, '\n'))
	if err = errors.Join(err, temporary.Chmod(0o644)); err == nil {
		err = os.Rename(temporary.Name(), path)
	}
	if err != nil {
		return nil, errors.Join(err, lock.Remove())
	}
	lock.Moved(path)
	return &readyFile{lock: lock}, nil
}

// remove removes the file, once. It may be called concurrently.
func (r *readyFile) remove() (err error) {
	if r != nil {
		r.gone.Do(func() { err = r.lock.Remove() })
	}
	return err
}

// dropStale removes the ready file that a gateway has left that was killed. It is an error
// if that runs, or if what stands there is no ready file, which may be somebody's.
func dropStale(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("ready-file: %w", err)
	case !info.Mode().IsRegular():
		return fmt.Errorf("ready-file: %s is no file: it is not replaced", path)
	}
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("ready-file: %w", err)
	}
	lock, err := filelock.Of(file, path)
	if errors.Is(err, filelock.ErrHeld) {
		return fmt.Errorf("ready-file: %s is that of a gateway that runs", path)
	} else if err != nil {
		return fmt.Errorf("ready-file: %w", err)
	}
	if !isReady(file) {
		return errors.Join(fmt.Errorf("ready-file: %s is there already, and is no ready file: it is not replaced", path), file.Close())
	}
	return lock.Remove()
}

// isReady tells whether a file is a ready file, or is empty: somebody has made the name.
func isReady(file io.Reader) bool {
	text, err := io.ReadAll(io.LimitReader(file, maxReady))
	if err != nil || len(text) == 0 {
		return err == nil
	}
	var is map[string]any
	if err := json.Unmarshal(text, &is); err != nil {
		return false
	}
	_, isOurs := is["zmq_server"]
	return isOurs
}
