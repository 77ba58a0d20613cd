package cluster_test

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// resident is what a process holds of memory that is its own, in bytes: of its program's
// file nothing.
func (p *process) resident() (n int64) {
	p.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.command.Process.Pid))
	if err != nil {
		p.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, is := strings.CutPrefix(line, "RssAnon:"); is {
			if _, err := fmt.Sscan(rest, &n); err != nil {
				p.t.Fatal(err)
			}
		}
	}
	return n << 10
}

// TestManyListeners: ten nodes with 2,000 listeners know them all, soon, and one that has none
// of them itself does not hold much. Each ten have a name and an expression.
func TestManyListeners(t *testing.T) {
	soaking(t)
	const nodes, listeners, most = 10, 2000, 20 << 20
	r := newRig(t)
	var all []*process
	for i := range nodes {
		c := r.config(fmt.Sprintf("n%d", i)).Cluster
		if i > 0 {
			c.Join = []string{all[0].addresses.Cluster}
		}
		p := r.spawn(c, nil)
		p.dial()
		all = append(all, p)
	}
	for _, p := range all {
		p.sees(nodes, 0)
	}
	before := all[0].resident()
	var announced sync.WaitGroup
	for i, p := range all[1:] {
		announced.Go(func() {
			for n := i; n < listeners; n += nodes - 1 {
				name := fmt.Sprintf("stage-%d", n/10)
				p.listen(&gatewayv1.ListenRequest{Name: name, Match: fmt.Sprintf("attributes.stream == %q", name)})
			}
		})
	}
	announced.Wait()
	since := time.Now()
	for _, p := range all {
		p.sees(nodes, listeners)
	}
	t.Logf("all knew all %v after the last listener was there", time.Since(since))
	grown := all[0].resident() - before
	t.Logf("a node holds %d KiB, without listeners it held %d KiB", (before+grown)>>10, before>>10)
	if grown > most {
		t.Errorf("a node holds %d MiB for %d listeners of others", grown>>20, listeners)
	}
}
