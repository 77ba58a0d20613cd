//go:build !soak

package matrix

import "testing"

// slowPeers are those that take minutes to build: none, but in the soak.
func slowPeers(*testing.T) []peer { return nil }
