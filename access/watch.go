package access

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"
)

// Watcher sees that files change. It looks at them every so often, through
// symbolic links: that shows a file that was written in place, one that was
// renamed over it, and a link that was turned to another folder, as Kubernetes
// does, on every file system.
type Watcher struct {
	files []string
	last  string
}

// NewWatcher takes note of how the files are now, so is called before they are
// read.
func NewWatcher(files ...string) *Watcher { return &Watcher{files, look(files)} }

// Run calls changed when one of the files has changed, until the context ends.
// While changed returns an error it is called again each time: of a certificate
// and its key, one may not have come yet. Run is called once.
func (w *Watcher) Run(ctx context.Context, every time.Duration, changed func() error) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for pending := false; ; {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if now := look(w.files); now != w.last || pending {
			w.last = now
			pending = changed() != nil
		}
	}
}

// look returns what changes when one of the files does.
func look(files []string) string {
	var text strings.Builder
	for _, name := range files {
		info, err := os.Stat(name)
		if err != nil {
			fmt.Fprintf(&text, "%v\n", err)
			continue
		}
		fmt.Fprintln(&text, inode(info), info.Size(), info.ModTime().UnixNano())
	}
	return text.String()
}
