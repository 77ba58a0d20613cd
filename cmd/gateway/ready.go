package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/zioflow/gateway/gateway"
	"github.com/zioflow/gateway/server/admin"
)

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

// writeReady writes the addresses to a file, which appears complete.
func writeReady(path string, bound gateway.Addresses) error {
	text, err := json.Marshal(bound)
	if err != nil {
		return err
	}
	temporary, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = temporary.Write(append(text, '\n'))
	err = errors.Join(err, temporary.Chmod(0o644), temporary.Close())
	if err == nil {
		err = os.Rename(temporary.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temporary.Name()))
	}
	return nil
}
