package access_test

import (
	"strings"
	"testing"

	"github.com/zioflow/gateway/access"
	"github.com/zioflow/gateway/broker/rights"
)

const listeners = `
identities:
- name: bob
  roles: [handler]
  tokens: [{sha256: BOB}]
  limits: {listener-names: [archive, "raw-*", "*-of-*-things"]}
- name: eve
  roles: [handler]
  tokens: [{sha256: EVE}]
- name: mute
  roles: [handler]
  tokens: [{sha256: MUTE}]
  limits: {listener-names: []}
`

// TestListenerNames: a name that stands in full in somebody's list is for those who
// have a list with it; without a list, one has any other that nobody holds.
func TestListenerNames(t *testing.T) {
	t.Parallel()
	text := listeners
	for _, who := range []string{"BOB", "EVE", "MUTE"} {
		text = strings.ReplaceAll(text, "sha256: "+who, "sha256: "+access.HashToken(who))
	}
	p := policy(t, text)
	of := func(token string) rights.Rights {
		t.Helper()
		who, err := p.Token(t.Context(), token)
		if err != nil {
			t.Fatal(err)
		}
		return who.Rights()
	}
	for name, want := range map[string][3]rights.NameRight{
		"archive":           {rights.NameAllowed, rights.NameRefused, rights.NameRefused},
		"archives":          {rights.NameRefused, rights.NameUnlessHeld, rights.NameRefused},
		"raw-":              {rights.NameAllowed, rights.NameUnlessHeld, rights.NameRefused},
		"raw-7/b":           {rights.NameAllowed, rights.NameUnlessHeld, rights.NameRefused},
		"draw-7":            {rights.NameRefused, rights.NameUnlessHeld, rights.NameRefused},
		"a-of-b-things":     {rights.NameAllowed, rights.NameUnlessHeld, rights.NameRefused},
		"-of-of-of--things": {rights.NameAllowed, rights.NameUnlessHeld, rights.NameRefused},
		"-of-things":        {rights.NameRefused, rights.NameUnlessHeld, rights.NameRefused},
		"":                  {rights.NameRefused, rights.NameUnlessHeld, rights.NameRefused},
	} {
		for i, token := range []string{"BOB", "EVE", "MUTE"} {
			if got := of(token).Names.Right(name); got != want[i] {
				t.Errorf("%s as %q: %v, want %v", token, name, got, want[i])
			}
		}
	}
}
