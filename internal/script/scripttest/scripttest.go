// Package scripttest plays, in tests, scripts of what tells all that comes of an act at
// once. Their lines are written by the code itself with -rewrite, and read by people.
package scripttest

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/zioflow/gateway/internal/script"
)

var rewrite = flag.Bool("rewrite", false, "write what comes of every act into the scripts")

// Recorded is a Player that has a script.Record.
type Recorded interface {
	script.Player
	// Take returns what came and was not expected yet, and forgets it.
	Take() []string
}

// Run plays every scenario of the files in a folder, each as a subtest of its file's.
// Beside `rules`, a head may have these keys. play makes a player for the scenario and
// gives it to do, in the surroundings that it needs.
func Run(t *testing.T, folder string, keys []string, play func(t *testing.T, s *script.Scenario, do func(Recorded))) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(folder, "*.txt"))
	if err != nil || len(names) == 0 {
		t.Fatalf("there are no scripts in %s (%v)", folder, err)
	}
	for _, name := range names {
		t.Run(filepath.Base(name), func(t *testing.T) {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			all, err := script.Parse(filepath.Base(name), string(text), keys...)
			if err != nil {
				t.Fatal(err)
			}
			came := map[int][]string{}
			for _, s := range all {
				t.Run(s.Title, func(t *testing.T) {
					play(t, s, func(p Recorded) {
						if *rewrite {
							record(t, s, p, came)
						} else if err := s.Play(p); err != nil {
							t.Error(err)
						}
					})
				})
			}
			if *rewrite && !t.Failed() {
				if err := os.WriteFile(name, []byte(script.Rewrite(string(text), all, came)), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// record only does what the lines say.
func record(t *testing.T, s *script.Scenario, p Recorded, came map[int][]string) {
	t.Helper()
	for _, l := range s.Lines {
		if l.Kind == script.Receive {
			continue
		}
		if err := p.Act(l); err != nil {
			t.Fatalf("%v: %s: %v", l.Pos, l.Text, err)
		}
		came[l.Line] = p.Take()
	}
}
