package server_test

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/builtin"
	"github.com/zioflow/gateway/broker/connect"
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/routes"
	"github.com/zioflow/gateway/broker/spawn"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/server"
	"github.com/zioflow/gateway/server/admin"
	"github.com/zioflow/gateway/zmqbridge/reach"
)

// operator is a gateway in memory with an AdminService.
type operator struct {
	admin    gatewayv1.AdminServiceClient
	flows    gatewayv1.FlowServiceClient
	handlers gatewayv1.HandlerServiceClient
	ctx      context.Context
}

func startOperated(t *testing.T, allowExec bool) *operator {
	t.Helper()
	limits := broker.DefaultOptions()
	b, err := broker.New(limits)
	if err != nil {
		t.Fatal(err)
	}
	handlers := builtin.New(b, limits.Log)
	if err := handlers.AddDefaultRoutes(); err != nil {
		t.Fatal(err)
	}
	spawner, err := spawn.New(spawn.DefaultOptions())
	if err != nil {
		t.Fatal(err)
	}
	spawner.SetAddresses(spawn.Addresses{})
	options := server.DefaultOptions(limits)
	options.Process = process{}
	options.Routes = admin.RouteOptions{Maker: routes.Maker{Kinds: routes.Kinds{
		handlers.Kind(), routes.Listener(), spawner.Kind(), connect.New(connect.Options{Broker: b, Dialer: &reach.Dialer{}}).Kind(),
	}}, AllowExec: allowExec}
	s := server.New(b, options)
	listener := bufconn.Listen(1 << 20)
	served := make(chan error, 1)
	go func() { served <- s.Serve(listener) }()
	conn, err := grpc.NewClient("passthrough:gateway",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(func() {
		b.Close(flow.Draining, "the test is over")
		handlers.Wait()
		if err := spawner.Close(ctx); err != nil {
			t.Error(err)
		}
		s.Stop(ctx)
		cancel()
		_ = conn.Close()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return &operator{
		gatewayv1.NewAdminServiceClient(conn), gatewayv1.NewFlowServiceClient(conn), gatewayv1.NewHandlerServiceClient(conn), ctx,
	}
}

func (o *operator) listen(t *testing.T, request *gatewayv1.ListenRequest) {
	t.Helper()
	stream, err := o.handlers.Listen(o.ctx, request)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
}

// get opens a flow that takes, and answers why it ended.
func (o *operator) get(t *testing.T, label string) gatewayv1.EndReason {
	t.Helper()
	stream, err := o.flows.Get(o.ctx, &gatewayv1.GetRequest{Bot: &gatewayv1.Bot{Label: label}})
	if err != nil {
		t.Fatal(err)
	}
	for {
		response, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if eot := response.GetEot(); eot != nil {
			return eot.GetReason()
		}
	}
}

func route(text string) *gatewayv1.Route {
	var r gatewayv1.Route
	if err := prototext.Unmarshal([]byte(text), &r); err != nil {
		panic(err)
	}
	return &r
}

func (o *operator) listRoutes(t *testing.T) string {
	t.Helper()
	list, err := o.admin.ListRoutes(o.ctx, &gatewayv1.ListRoutesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	for _, r := range list.GetRoutes() {
		words = append(words, r.GetRoute().GetName()+":"+strings.TrimPrefix(r.GetOrigin().String(), "ROUTE_ORIGIN_"))
	}
	return strings.Join(words, " ")
}

func TestRoutesOverGRPC(t *testing.T) {
	o := startOperated(t, true)
	o.listen(t, &gatewayv1.ListenRequest{Name: "shell", Match: "attributes.stream == 'raw'", MaxFlows: 3})
	for _, r := range []*gatewayv1.Route{
		route(`name: "few" match: "has(attributes.few)" max_credit: 2 builtin { name: "generate" }`),
		route(`name: "rules" rules: "[{rule: \"(= kind 'depo')\"}]" priority: -3 listener { name: "shell" }`),
		route(`name: "command" match: "has(attributes.command)" priority: 5 exec { command: "false" max_processes: 2 max_time { seconds: 9 } }`),
		route(`name: "far" priority: -4 connect { address: "tcp://localhost:5" max_flows: 1 server_key: "` + strings.Repeat("a", 40) + `" }`),
	} {
		response, err := o.admin.AddRoute(o.ctx, &gatewayv1.AddRouteRequest{Route: r})
		if err != nil {
			t.Fatal(err)
		}
		want := &gatewayv1.RouteStatus{Route: r, Origin: gatewayv1.RouteOrigin_ROUTE_ORIGIN_ADDED}
		if got := response.GetRoute(); !proto.Equal(got, want) {
			t.Errorf("added %v, want %v", got, want)
		}
	}
	const all = "command:ADDED few:ADDED shell:LISTENER rules:ADDED far:ADDED dump:DEFAULT generate:DEFAULT"
	if got := o.listRoutes(t); got != all {
		t.Errorf("the routes are %s, want %s", got, all)
	}
	if got := o.get(t, `{"few":1}`); got != gatewayv1.EndReason_END_REASON_COMPLETED {
		t.Errorf("a flow of generate's ended with %v", got)
	}
	removed, err := o.admin.RemoveRoute(o.ctx, &gatewayv1.RemoveRouteRequest{Name: "few"})
	if err != nil || removed.GetRoute().GetTaken() != 1 || removed.GetRoute().GetFlows() != 0 {
		t.Errorf("removed %v, %v, want one flow taken and none left", removed, err)
	}
	if got, want := o.listRoutes(t), strings.ReplaceAll(all, "few:ADDED ", ""); got != want {
		t.Errorf("the routes are %s, want %s", got, want)
	}
	list, err := o.admin.ListListeners(o.ctx, &gatewayv1.ListListenersRequest{})
	if err != nil || len(list.GetListeners()) != 1 {
		t.Fatalf("listeners: %v, %v", list, err)
	}
	l := list.GetListeners()[0]
	if time.Since(l.GetRegistered().AsTime()) > time.Minute {
		t.Errorf("registered %v", l.GetRegistered().AsTime())
	}
	if agent := l.GetPeer().GetAgent(); !strings.HasPrefix(agent, "grpc-go/") {
		t.Errorf("its program is %q", agent)
	}
	l.Registered, l.Peer.Agent = nil, ""
	if want := (&gatewayv1.Listener{
		Id: 1, Name: "shell", Match: "attributes.stream == 'raw'", MaxFlows: 3,
		Peer: &gatewayv1.Peer{Transport: "grpc", Address: "bufconn"},
	}); !proto.Equal(l, want) {
		t.Errorf("the listener is %v, want %v", l, want)
	}
}

func TestRoutesRefused(t *testing.T) {
	o := startOperated(t, false)
	o.listen(t, &gatewayv1.ListenRequest{Name: "shell"})
	add := func(r *gatewayv1.Route) error {
		_, err := o.admin.AddRoute(o.ctx, &gatewayv1.AddRouteRequest{Route: r})
		return err
	}
	remove := func(name string) error {
		_, err := o.admin.RemoveRoute(o.ctx, &gatewayv1.RemoveRouteRequest{Name: name})
		return err
	}
	try := func(text string) error {
		var request gatewayv1.TestRouteRequest
		if err := prototext.Unmarshal([]byte(text), &request); err != nil {
			panic(err)
		}
		_, err := o.admin.TestRoute(o.ctx, &request)
		return err
	}
	if err := add(route(`name: "x" builtin { name: "dump" }`)); err != nil {
		t.Fatal(err)
	}
	negative := route(`name: "y" exec { command: "x" }`)
	negative.GetExec().MaxTime = &durationpb.Duration{Seconds: 1, Nanos: -1}
	for name, tt := range map[string]struct {
		err    error
		code   codes.Code
		detail string // the field, or the reason
		words  string
	}{
		"no route":          {add(nil), codes.InvalidArgument, "route", "required"},
		"no name":           {add(route(`builtin { name: "dump" }`)), codes.InvalidArgument, "route.name", "at least 1"},
		"a wrong match":     {add(route(`name: "y" match: "credit > 'x'" builtin { name: "dump" }`)), codes.InvalidArgument, "route.match", "1:8: "},
		"a wrong rule":      {add(route(`name: "y" rules: "[{rule: '(='}]" builtin { name: "dump" }`)), codes.InvalidArgument, "route.rules", "rule 1: rule: 1:3"},
		"an import":         {add(route(`name: "y" rules: "import '/etc/passwd'" builtin { name: "dump" }`)), codes.InvalidArgument, "route.rules", "can't import files"},
		"no factory":        {add(route(`name: "y"`)), codes.InvalidArgument, "route.factory", "required"},
		"an unknown one":    {add(route(`name: "y" builtin { name: "cat" }`)), codes.InvalidArgument, "route.builtin.name", "[dump, generate]"},
		"no address":        {add(route(`name: "y" connect {}`)), codes.InvalidArgument, "route.connect.address", "is missing"},
		"a long node":       {add(route(`name: "y" connect { port: "flow" node: "` + strings.Repeat("n", 256) + `" }`)), codes.InvalidArgument, "route.connect.node", "255"},
		"a name twice":      {add(route(`name: "x" builtin { name: "dump" }`)), codes.AlreadyExists, "ROUTE_EXISTS", "route x"},
		"a default's name":  {add(route(`name: "dump" builtin { name: "dump" }`)), codes.AlreadyExists, "ROUTE_EXISTS", "route dump"},
		"exec":              {add(route(`name: "y" exec { command: "cat" }`)), codes.FailedPrecondition, "EXEC_ROUTES_NOT_ALLOWED", "--allow-exec-routes"},
		"remove nothing":    {remove(""), codes.InvalidArgument, "name", "at least 1"},
		"remove no route":   {remove("y"), codes.NotFound, "NO_ROUTE", "route y"},
		"remove a listener": {remove("shell"), codes.FailedPrecondition, "LISTENERS_ROUTE", "route shell"},
		"try nothing":       {try(""), codes.InvalidArgument, "bot", "required"},
		"try no direction":  {try(`bot {}`), codes.InvalidArgument, "bot", "neither extract nor inject"},
		"try a wrong label": {try(`bot { label: "[]" }`), codes.InvalidArgument, "bot.label", "object"},
		"try a handler":     {try(`bot { direction: DIRECTION_INJECT cid: 5 }`), codes.InvalidArgument, "bot.cid", "accepts an offer"},
		"try a label's cid": {try(`bot { direction: DIRECTION_INJECT label: "{\"cid\":5}" }`), codes.InvalidArgument, "bot.cid", "accepts an offer"},
		"try less credit":   {try(`bot { direction: DIRECTION_INJECT credit: -1 }`), codes.InvalidArgument, "bot.credit", "is -1"},
	} {
		if status.Code(tt.err) != tt.code || !strings.Contains(status.Convert(tt.err).Message(), tt.words) || detailOf(tt.err) != tt.detail {
			t.Errorf("%s: %v with %q, want %v with %q", name, tt.err, detailOf(tt.err), tt.code, tt.detail)
		}
	}
	open := startOperated(t, true)
	if _, err := open.admin.AddRoute(open.ctx, &gatewayv1.AddRouteRequest{Route: negative}); detailOf(err) != "route.exec.max_time" {
		t.Errorf("a malformed duration: %v", err)
	}
}

// detailOf is the field or the reason in an error's details.
func detailOf(err error) string {
	for _, detail := range status.Convert(err).Details() {
		switch d := detail.(type) {
		case *errdetails.BadRequest:
			return d.GetFieldViolations()[0].GetField()
		case *errdetails.ErrorInfo:
			return d.GetReason()
		}
	}
	return ""
}

func TestTestRoute(t *testing.T) {
	o := startOperated(t, false)
	o.listen(t, &gatewayv1.ListenRequest{Name: "shell", Match: "attributes.stream == 'raw' && peer.transport == 'zmq-server'"})
	if _, err := o.admin.AddRoute(o.ctx, &gatewayv1.AddRouteRequest{Route: route(
		`name: "rules" rules: "[{rule: \"(and (= run 7) (= origin 9))\"}]" builtin { name: "dump" }`)}); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct{ request, route, verdicts string }{
		"attributes and label": {
			`bot { direction: DIRECTION_INJECT origin: 9 label: "{\"run\":7}"
			  attributes { fields { key: "stream" value { string_value: "raw" } } } } peer { transport: "zmq-server" }`,
			"rules",
			`rules ADDED matches takes: rule 1 is true; but the flow ends with rejected: dump serves clients that extract, this one will inject
shell LISTENER matches: 1 of 1 listeners match, 1 of them are not full
dump DEFAULT: direction is "extract"
generate DEFAULT matches: direction is "extract"`,
		},
		"nothing": {
			`bot { label: "{\"direction\":\"extract\"}" }`,
			"dump",
			`rules ADDED: rule 1: (= origin 9) is false: origin is 0
shell LISTENER: listener 1: attributes.stream is missing
dump DEFAULT matches takes: direction is "inject"
generate DEFAULT: direction is "inject"`,
		},
	} {
		var request gatewayv1.TestRouteRequest
		if err := prototext.Unmarshal([]byte(tt.request), &request); err != nil {
			t.Fatal(err)
		}
		response, err := o.admin.TestRoute(o.ctx, &request)
		if err != nil {
			t.Fatal(err)
		}
		var lines []string
		for _, v := range response.GetVerdicts() {
			line := v.GetRoute() + " " + strings.TrimPrefix(v.GetOrigin().String(), "ROUTE_ORIGIN_")
			if v.GetMatches() {
				line += " matches"
			}
			if v.GetTakes() {
				line += " takes"
			}
			lines = append(lines, line+": "+v.GetExplanation())
		}
		if got := strings.Join(lines, "\n"); got != tt.verdicts || response.GetRoute() != tt.route {
			t.Errorf("%s: route %q\n%s\nwant %q\n%s", name, response.GetRoute(), got, tt.route, tt.verdicts)
		}
	}
	list, err := o.admin.ListRoutes(o.ctx, &gatewayv1.ListRoutesRequest{})
	if err != nil || list.GetRoutes()[0].GetTaken() != 0 {
		t.Errorf("trying a route has opened a flow: %v, %v", list, err)
	}
}
