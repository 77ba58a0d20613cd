package exit_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/zioflow/gateway/cli/exit"
)

func TestCodes(t *testing.T) {
	before := exit.Code(-1)
	for _, m := range exit.All() {
		if m.Code <= before || m.Words == "" {
			t.Errorf("%d comes after %d, with the words %q", m.Code, before, m.Words)
		}
		before = m.Code
	}
	cause := errors.New("no flow 7")
	err := fmt.Errorf("to end it: %w", exit.With(exit.NotFound, cause))
	if exit.Of(err) != exit.NotFound || !errors.Is(err, cause) || err.Error() != "to end it: no flow 7" {
		t.Errorf("%d, %v", exit.Of(err), err)
	}
	if exit.With(exit.NotFound, nil) != nil || exit.Of(nil) != exit.Done || exit.Of(cause) != exit.Failed {
		t.Error("an error has another code")
	}
}
