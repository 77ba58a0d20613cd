package execfile_test

import (
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/zioflow/gateway/internal/execfile"
)

// TestBusy writes programs and runs each at once, while others are forked all the time. With
// os.WriteFile some of them are "text file busy".
func TestBusy(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	var writers sync.WaitGroup
	for w := range 8 {
		writers.Go(func() {
			for i := range 100 {
				path := filepath.Join(folder, strconv.Itoa(w*100+i))
				if err := execfile.Write(path, "#!/bin/sh\nexit 0\n"); err != nil {
					t.Error(err)
					return
				}
				if out, err := exec.CommandContext(t.Context(), path).CombinedOutput(); err != nil {
					t.Errorf("%v: %s", err, out)
				}
			}
		})
	}
	writers.Wait()
}
