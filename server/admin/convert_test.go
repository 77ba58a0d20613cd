package admin

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/server/contract"
)

func names(left *gatewayv1.LeftOut) (names []string) {
	for _, a := range left.GetAttributes() {
		names = append(names, fmt.Sprintf("%s %s (%d)", a.GetName(), a.GetWhy(), a.GetBytes()))
	}
	return names
}

// TestListedAttributesAreCut: what operators see of a flow in a list is short.
func TestListedAttributesAreCut(t *testing.T) {
	t.Parallel()
	label := `{"flow":"BOT","direction":"inject","credit":2,"cid":7,"note":"` + strings.Repeat("é", 300_000) + `","hist":[` + strings.Repeat("1,", 200_000) + `1],"run":7}`
	for name, limits := range map[string]contract.AttributeLimits{"listed": listedAttributes, "single": singleAttributes} {
		shown, left := contract.Attributes([]byte(label), limits)
		note := shown.GetFields()["note"].GetStringValue()
		if len(note) > limits.Each+3 || len(note) < limits.Each-3 || !strings.HasSuffix(note, "é…") {
			t.Errorf("%s: note has %d bytes and ends with %q", name, len(note), note[len(note)-6:])
		}
		if shown.GetFields()["run"].GetNumberValue() != 7 || shown.GetFields()["hist"] != nil {
			t.Errorf("%s: run is %v, hist %.60v", name, shown.GetFields()["run"], shown.GetFields()["hist"])
		}
		if got, want := fmt.Sprint(names(left)), "[note is cut (600002) hist is too long to be shown (400003)]"; got != want {
			t.Errorf("%s: left out %s, want %s", name, got, want)
		}
	}
	var many strings.Builder
	many.WriteString(`{"flow":"BOT","direction":"inject","credit":2,"cid":7`)
	for i := range 100_000 {
		fmt.Fprintf(&many, `,"k%d":"v"`, i)
	}
	shown, left := contract.Attributes([]byte(many.String()+"}"), listedAttributes)
	if n := proto.Size(shown); n > listedAttributes.Total || len(shown.GetFields()) < 100 {
		t.Errorf("%d of 100,000 attributes are shown, in %d bytes", len(shown.GetFields()), n)
	}
	if int(left.GetAttributesCount())+len(shown.GetFields()) != 100_000 || len(left.GetAttributes()) != contract.MaxUnshown || proto.Size(left) > 4<<10 {
		t.Errorf("%d are told of, %d by name, in %d bytes", left.GetAttributesCount(), len(left.GetAttributes()), proto.Size(left))
	}
}
