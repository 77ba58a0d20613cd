package match_test

import (
	"strings"
	"testing"
	"time"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/match"
	"github.com/zioflow/gateway/broker/relay"
)

// TestFilterWords: a comparison with what can never be is refused, with its place.
func TestFilterWords(t *testing.T) {
	t.Parallel()
	for expression, want := range map[string]string{
		`state == 'actve'`:                           `1:10: state is never "actve", but one of "pending", "active", "half_closed", "ended"`,
		`"half-closed" != state`:                     `1:1: state is never "half-closed"`,
		`state in ['active', 'done']`:                `1:21: state is never "done"`,
		`credit > 1 && (reason == "PEER_GONE")`:      `1:26: reason is never "PEER_GONE"`,
		`direction == 'in'`:                          `direction is never "in"`,
		`held_up_by == 'nobody'`:                     `held_up_by is never "nobody"`,
		`state == 'active' || reason == ''`:          "",
		`reason in ['peer_gone', 'overrun']`:         "",
		`attributes.state == 'actve'`:                "",
		`client.identity == 'actve'`:                 "",
		`held_up_by == '' && direction != 'extract'`: "",
	} {
		_, err := match.CompileFilter(expression)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", expression, err, want)
		}
	}
}

// TestFilterSinceDAT: no DAT for ten minutes, whether there has been one or not.
func TestFilterSinceDAT(t *testing.T) {
	t.Parallel()
	filter, err := match.CompileFilter(`since_dat > duration('10m')`)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(10_000, 0)
	ago := func(minutes int) time.Time { return now.Add(-time.Duration(minutes) * time.Minute) }
	for name, c := range map[string]struct {
		info relay.Info
		want bool
	}{
		"a DAT just now":           {relay.Info{Opened: ago(30), LastDAT: ago(9)}, false},
		"a DAT long ago":           {relay.Info{Opened: ago(30), LastDAT: ago(11)}, true},
		"none, opened just now":    {relay.Info{Opened: ago(9)}, false},
		"none, opened long ago":    {relay.Info{Opened: ago(11)}, true},
		"ended soon after its DAT": {relay.Info{Phase: flow.Ended, Opened: ago(90), LastDAT: ago(60), Ended: ago(59)}, false},
		"ended long after its DAT": {relay.Info{Phase: flow.Ended, Opened: ago(90), LastDAT: ago(60), Ended: ago(30)}, true},
	} {
		if got, _ := filter.Match(&c.info, now); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
