// Package access decides who may do what: it knows the identities, what proves
// them, and their roles and limits. It knows no transport. A front shows it what
// a peer has shown, and is told who that is, or a Denial.
package access

import (
	"fmt"
	"slices"
	"strings"
)

// Role is what an identity may be.
type Role string

// The roles.
const (
	// Client opens flows.
	Client Role = "client"
	// Handler listens, and accepts flows that were offered.
	Handler Role = "handler"
	// Admin sees and steers the gateway.
	Admin Role = "admin"
)

// Roles are all there are.
var Roles = []Role{Client, Handler, Admin}

func parseRole(word string) (Role, error) {
	if role := Role(word); slices.Contains(Roles, role) {
		return role, nil
	}
	return "", fmt.Errorf("%q is no role; there are %s", word, joinWords(Roles))
}

func joinWords[T ~string](words []T) string {
	texts := make([]string, len(words))
	for i, word := range words {
		texts[i] = string(word)
	}
	return strings.Join(texts, ", ")
}

// parseRoles reads a list of roles, of which there must be one. The error begins
// with the index.
func parseRoles(words []string) (map[Role]bool, error) {
	if len(words) == 0 {
		return nil, fmt.Errorf(": is empty, want some of %s", joinWords(Roles))
	}
	roles := map[Role]bool{}
	for i, word := range words {
		role, err := parseRole(word)
		if err != nil {
			return nil, fmt.Errorf("[%d]: %w", i, err)
		}
		roles[role] = true
	}
	return roles, nil
}
