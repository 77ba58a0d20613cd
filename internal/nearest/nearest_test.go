package nearest_test

import (
	"strings"
	"testing"

	"github.com/zioflow/gateway/internal/nearest"
)

func TestOf(t *testing.T) {
	t.Parallel()
	words := []string{"max-credit", "max-flows", "grpc", "http", "max-flow-bytes"}
	for written, want := range map[string]string{
		"max-credits": "max-credit", "max_credit": "max-credit", "MaxFlow": "max-flows", "gprc": "grpc", "a": "", "grcp": "grpc", "grp": "grpc",
		"https": "http", "colour": "", "": "", strings.Repeat("max-credit", 100_000): "", "max-flow-byte": "max-flow-bytes",
	} {
		if got := nearest.Of(written, words); got != want {
			t.Errorf("%.20q: %q, want %q", written, got, want)
		}
	}
	if got := nearest.DidYouMean("max-flow", words) + nearest.DidYouMean("colour", words); got != "; did you mean max-flows?" {
		t.Error(got)
	}
}
