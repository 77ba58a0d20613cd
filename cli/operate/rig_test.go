package operate_test

import (
	"bytes"
	"context"
	"log/slog"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/zioflow/gateway/cli/console"
	"github.com/zioflow/gateway/cli/exit"
	"github.com/zioflow/gateway/cli/operate"
	zioflow "github.com/zioflow/gateway/clients/go"
	"github.com/zioflow/gateway/gateway"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a real gateway, and the commands that a user would give.
type rig struct {
	*zioflow.Gateway
	address string
	gateway *gateway.Gateway
}

// newRig starts a gateway; configure may change how.
func newRig(t testing.TB, configure ...func(*gateway.Config)) *rig {
	t.Helper()
	c := gateway.DefaultConfig()
	c.ZMQ.Servers, c.ZMQ.Routers = nil, nil
	c.GRPC.Addresses, c.HTTP.Address = []string{"127.0.0.1:0"}, ""
	c.Node.Name, c.Version = "none", "1.2.3"
	c.Level = new(slog.LevelVar)
	for _, change := range configure {
		change(&c)
	}
	g, err := gateway.New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	stopped := make(chan error, 1)
	go func() { stopped <- g.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-stopped; err != nil {
			t.Error(err)
		}
	})
	address := g.Addresses().GRPC
	client, err := zioflow.Dial(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return &rig{client, address, g}
}

// give opens a flow to the built-in handler dump and has one DAT in it.
func (r *rig) give(t testing.TB, attributes map[string]any) *zioflow.Giver {
	t.Helper()
	attributes["builtin"] = "dump"
	giver, err := r.Give(t.Context(), zioflow.Bot{Credit: 4, Attributes: attributes})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(giver.Abort)
	if err := giver.Put(t.Context(), zioflow.Dat{Payload: [][]byte{make([]byte, 1000)}}); err != nil {
		t.Fatal(err)
	}
	r.until(t, func() bool {
		f, err := r.Admin().GetFlow(t.Context(), &gatewayv1.GetFlowRequest{Id: giver.FlowID()})
		return err == nil && f.GetFlow().GetFromClient().GetBytes() == 1000 && f.GetFlow().GetCreditState().GetHeldByGiver() == 4
	})
	return giver
}

// until waits for what must come.
func (r *rig) until(t testing.TB, come func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(time.Minute); !come(); {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("it has not come")
		}
	}
}

// done is what came of a command.
type done struct {
	out, err string
	code     exit.Code
}

// run gives a command to the rig's gateway.
func (r *rig) run(t testing.TB, arguments ...string) done {
	t.Helper()
	return run(t.Context(), t, append(arguments, "--address", r.address)...)
}

// run gives a command, for as long as the context lasts.
func run(ctx context.Context, t testing.TB, arguments ...string) done {
	t.Helper()
	var out, errs bytes.Buffer
	err := execute(ctx, &out, &errs, arguments...)
	d := done{out.String(), errs.String(), exit.Of(err)}
	if err != nil {
		d.err += err.Error()
	}
	return d
}

type output interface{ Write([]byte) (int, error) }

func execute(ctx context.Context, out, errs output, arguments ...string) error {
	commands := &operate.Commands{}
	parser, err := kong.New(commands, kong.Name("gateway"), kong.DefaultEnvars("ZIO_GATEWAY"))
	if err != nil {
		return err
	}
	parsed, err := parser.Parse(arguments)
	if err != nil {
		return exit.With(exit.Usage, err)
	}
	return parsed.Run(console.New(ctx, strings.NewReader(""), out, errs, nil))
}

// columns are the words of a table's lines: `…` stands for any, and `…*` for any number of
// them.
func (d done) columns(t testing.TB, lines ...string) {
	t.Helper()
	got := strings.Split(strings.TrimSuffix(d.out, "\n"), "\n")
	if d.code != exit.Done || len(got) != len(lines) {
		t.Fatalf("code %d, %q, %d lines, want %d:\n%s", d.code, d.err, len(got), len(lines), d.out)
	}
	for i, line := range lines {
		words := regexp.QuoteMeta(line)
		words = strings.NewReplacer(`…\*`, ".*", "…", `\S+`, " ", " +").Replace(words)
		if !regexp.MustCompile("^ *" + words + "$").MatchString(got[i]) {
			t.Errorf("line %d is\n%s\nwant\n%s", i, got[i], line)
		}
	}
}

// fails wants a code, and words in the error.
func (d done) fails(t testing.TB, code exit.Code, words string) {
	t.Helper()
	if d.code != code || !strings.Contains(d.err, words) {
		t.Errorf("code %d, %q, want %d, %q; it printed %q", d.code, d.err, code, words, d.out)
	}
}

// reads reads JSON.
func reads[M proto.Message](t testing.TB, d done, into M) M {
	t.Helper()
	if d.code != exit.Done {
		t.Fatalf("code %d: %s", d.code, d.err)
	}
	if err := protojson.Unmarshal([]byte(d.out), into); err != nil {
		t.Fatalf("%v in %s", err, d.out)
	}
	return into
}
