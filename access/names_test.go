package access_test

import (
	"strings"
	"testing"

	"github.com/zioflow/gateway/access"
	"github.com/zioflow/gateway/broker"
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
	of := func(token string) broker.Rights {
		t.Helper()
		who, err := p.Token(t.Context(), token)
		if err != nil {
			t.Fatal(err)
		}
		return who.Rights()
	}
	for name, want := range map[string][3]broker.NameRight{
		"archive":           {broker.NameAllowed, broker.NameRefused, broker.NameRefused},
		"archives":          {broker.NameRefused, broker.NameUnlessHeld, broker.NameRefused},
		"raw-":              {broker.NameAllowed, broker.NameUnlessHeld, broker.NameRefused},
		"raw-7/b":           {broker.NameAllowed, broker.NameUnlessHeld, broker.NameRefused},
		"draw-7":            {broker.NameRefused, broker.NameUnlessHeld, broker.NameRefused},
		"a-of-b-things":     {broker.NameAllowed, broker.NameUnlessHeld, broker.NameRefused},
		"-of-of-of--things": {broker.NameAllowed, broker.NameUnlessHeld, broker.NameRefused},
		"-of-things":        {broker.NameRefused, broker.NameUnlessHeld, broker.NameRefused},
		"":                  {broker.NameRefused, broker.NameUnlessHeld, broker.NameRefused},
	} {
		for i, token := range []string{"BOB", "EVE", "MUTE"} {
			if got := of(token).Names.Right(name); got != want[i] {
				t.Errorf("%s as %q: %v, want %v", token, name, got, want[i])
			}
		}
	}
}
