package access

import (
	"fmt"
	"strings"

	"github.com/zioflow/gateway/broker/rights"
)

// namePatterns are the names under which somebody may listen. In one, * stands for
// any text.
type namePatterns []string

// checkPatterns refuses what can be no listener's name.
func checkPatterns(patterns []string) (namePatterns, error) {
	const longest = 128 // as that of a listener's name
	for i, pattern := range patterns {
		if n := len(pattern); n == 0 || n > longest {
			return nil, fmt.Errorf("[%d]: has %d bytes, want 1 to %d", i, n, longest)
		}
	}
	return patterns, nil
}

func (p namePatterns) take(name string) bool {
	for _, pattern := range p {
		if takesName(pattern, name) {
			return true
		}
	}
	return false
}

// takesName looks for the texts between the stars one after the other, each as early
// as it can be: that takes no longer than the name.
func takesName(pattern, name string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == name
	}
	first, last := parts[0], parts[len(parts)-1]
	if len(name) < len(first)+len(last) || !strings.HasPrefix(name, first) || !strings.HasSuffix(name, last) {
		return false
	}
	name = name[len(first) : len(name)-len(last)]
	for _, part := range parts[1 : len(parts)-1] {
		_, after, found := strings.Cut(name, part)
		if !found {
			return false
		}
		name = after
	}
	return true
}

// owned are the names that stand in full in somebody's list: nobody may listen under
// them who has no list of his own.
type owned map[string]bool

func (o owned) add(patterns namePatterns) {
	for _, pattern := range patterns {
		if !strings.Contains(pattern, "*") {
			o[pattern] = true
		}
	}
}

// nameRights are the names under which those with the same limits may listen. It
// implements broker.ListenerNames.
type nameRights struct {
	patterns namePatterns // nil for any that nobody else holds, or owns
	owned    owned
}

// Right implements broker.ListenerNames.
func (n *nameRights) Right(name string) rights.NameRight {
	switch {
	case n.patterns == nil && n.owned[name]:
		return rights.NameRefused
	case n.patterns == nil:
		return rights.NameUnlessHeld
	case n.patterns.take(name):
		return rights.NameAllowed
	}
	return rights.NameRefused
}
