package main_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/broker/zio"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

const adminService = "zio.gateway.v1.AdminService/"

// operate makes one call to the AdminService as an operator types it.
func (p *program) operate(t *testing.T, method, request string, response proto.Message) {
	t.Helper()
	c := p.grpcurl(t, adminService+method)
	c.ask(t, request)
	c.hear(t, response)
	c.end(t, 0, "")
}

func (p *program) getFlow(t *testing.T, id uint64) *gatewayv1.Flow {
	t.Helper()
	var r gatewayv1.GetFlowResponse
	p.operate(t, "GetFlow", fmt.Sprintf(`{"id":"%d"}`, id), &r)
	return r.GetFlow()
}

func TestAdminDescribesItself(t *testing.T) {
	p := serve(t, []string{"--default-routes"}, nil)
	for words, want := range map[string]string{
		"list":                             "grpc.channelz.v1.Channelz\n",
		"list zio.gateway.v1.AdminService": "AdminService.WatchFlows\n",
		"describe zio.gateway.v1.AdminService.EndFlow":                           "rpc EndFlow ( .zio.gateway.v1.EndFlowRequest )",
		"describe .zio.gateway.v1.CreditState":                                   "int64 held_by_giver = 1;",
		"grpc.channelz.v1.Channelz/GetServers":                                   `"callsStarted"`,
		"zio.gateway.v1.AdminService/GetStatus":                                  `"transport": "zmq-router"`,
		"-msg-template describe .zio.gateway.v1.ListFlowsRequest":                `"pageToken": ""`,
		"-emit-defaults zio.gateway.v1.AdminService/ListPeers":                   `"nextPageToken": ""`,
		"zio.gateway.v1.AdminService/ListFlows":                                  "{}",
		"-expand-headers zio.gateway.v1.AdminService/ListListeners":              "{}",
		"-format json zio.gateway.v1.AdminService/Drain":                         "{}",
		"-format text zio.gateway.v1.AdminService/GetStatus":                     "version: ",
		"-format text -d level:\"warn\" zio.gateway.v1.AdminService/SetLogLevel": `previous: "info"`,
	} {
		arguments := strings.Fields(words)
		at := 0 // options go before the address
		for at < len(arguments) && (strings.HasPrefix(arguments[at], "-") || at > 0 && takesValue(arguments[at-1])) {
			at++
		}
		arguments = append(arguments[:at:at], append([]string{p.addresses[viaGRPC]}, arguments[at:]...)...)
		out, err := p.grpcurlCommand(t, arguments...).CombinedOutput()
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("grpcurl %s: %v\n%s\nwant %q in it", words, err, out, want)
		}
	}
}

func takesValue(option string) bool { return option == "-format" || option == "-d" }

// TestAdminEndsEveryKind: a flow of each kind of client and of handler is listed,
// described and ended; both sides see why, and can go on with another.
func TestAdminEndsEveryKind(t *testing.T) {
	p := serve(t, nil, nil)
	l := p.listen(t, &gatewayv1.ListenRequest{Name: "any"})
	for i, kinds := range [][2]transportName{{viaClient, viaDealer}, {viaDealer, viaGRPC}, {viaGRPC, viaClient}} {
		id := uint64(i + 1)
		f := p.openFlow(t, l, kinds[0], kinds[1], zio.Extract, 4)
		f.cross(t, 3)
		var listed gatewayv1.ListFlowsResponse
		p.operate(t, "ListFlows", fmt.Sprintf(
			`{"states":"FLOW_STATE_ACTIVE","filter":"client.transport == '%s' && messages == 3 && route == 'any'"}`, kinds[0].name()), &listed)
		if len(listed.GetFlows()) != 1 || listed.GetFlows()[0].GetId() != id {
			t.Fatalf("listed %v, want flow %d", &listed, id)
		}
		got := p.getFlow(t, id)
		if got.GetClient().GetTransport() != kinds[0].name() || got.GetHandler().GetTransport() != kinds[1].name() ||
			got.GetFromClient().GetDats() != 3 || got.GetFromClient().GetMessages() != 4 || got.GetFromHandler().GetMessages() != 4 ||
			got.GetCreditState().GetOutstanding() != 4 || got.GetHeldUpBy() != gatewayv1.HeldUpBy_HELD_UP_BY_TAKER {
			t.Errorf("flow %d is %v", id, got)
		}
		var ended gatewayv1.EndFlowResponse
		p.operate(t, "EndFlow", fmt.Sprintf(`{"id":%d,"detail":"beam off"}`, id), &ended)
		if ended.GetFlow().GetReason() != gatewayv1.EndReason_END_REASON_ENDED_BY_ADMIN {
			t.Errorf("EndFlow answered %v", &ended)
		}
		wantEOT(t, f.client, flow.EndedByAdmin, "beam off")
		wantEOT(t, f.handler, flow.EndedByAdmin, "beam off")
		if got := p.getFlow(t, id); got.GetState() != gatewayv1.FlowState_FLOW_STATE_ENDED || got.GetDetail() != "beam off" {
			t.Errorf("afterwards flow %d is %v", id, got)
		}
		again := p.grpcurl(t, adminService+"EndFlow")
		again.ask(t, fmt.Sprintf(`{"id":%d}`, id))
		again.end(t, 64+9, "ended_by_admin")
	}
	missing := p.grpcurl(t, adminService+"GetFlow")
	missing.ask(t, `{"id":77}`)
	missing.end(t, 64+5, `"resourceName": "77"`)
}

// TestAdminWatches: a watch tells of a flow's states in their order.
func TestAdminWatches(t *testing.T) {
	p := serve(t, []string{"--default-routes"}, nil)
	watch := p.grpcurl(t, adminService+"WatchFlows")
	watch.ask(t, `{"filter":"attributes.watched"}`)
	// grpcurl does not tell when a watch has begun: flows pass until it is over.
	conn, err := connect(p.addresses[viaGRPC])
	if err != nil {
		t.Fatal(err)
	}
	var passing sync.WaitGroup
	var stop atomic.Bool
	passing.Go(func() {
		for !stop.Load() {
			if _, err := takeFlow(conn, `{"count":0,"watched":true}`); err != nil {
				t.Error(err)
				return
			}
		}
	})
	defer func() {
		stop.Store(true)
		passing.Wait()
		_ = conn.Close()
	}()
	states := map[uint64][]gatewayv1.FlowState{}
	for {
		var e gatewayv1.WatchFlowsResponse
		watch.hear(t, &e)
		id := e.GetFlow().GetId()
		states[id] = append(states[id], e.GetFlow().GetState())
		if len(states) > 1 && e.GetFlow().GetState() == gatewayv1.FlowState_FLOW_STATE_ENDED {
			if fmt.Sprint(states[id]) != "[FLOW_STATE_PENDING FLOW_STATE_ACTIVE FLOW_STATE_HALF_CLOSED FLOW_STATE_ENDED]" {
				t.Errorf("flow %d entered %v", id, states[id])
			}
			return
		}
	}
}

// takeFlow takes one flow over gRPC and answers its number.
func takeFlow(conn *grpc.ClientConn, label string) (id uint64, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	stream, err := gatewayv1.NewFlowServiceClient(conn).Get(ctx, &gatewayv1.GetRequest{Bot: &gatewayv1.Bot{Label: label}})
	if err != nil {
		return 0, err
	}
	for {
		m, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return id, nil
		case err != nil:
			return id, fmt.Errorf("flow %d: %w", id, err)
		}
		id = max(id, m.GetBot().GetFlowId())
	}
}

func TestAdminDrains(t *testing.T) {
	p := serve(t, []string{"--default-routes"}, nil)
	l := p.listen(t, &gatewayv1.ListenRequest{Name: "any", Match: "attributes.x == 1 || true"})
	f := p.openFlow(t, l, viaClient, viaDealer, zio.Inject, 2)
	health := func(want string, code int) {
		t.Helper()
		out, err := p.grpcurlCommand(t, p.addresses[viaGRPC], "grpc.health.v1.Health/Check").CombinedOutput()
		if err != nil || !strings.Contains(string(out), `"`+want+`"`) {
			t.Errorf("health: %s, %v, want %s", out, err, want)
		}
		if got, _ := p.health(t); got != code {
			t.Errorf("HTTP health: %d, want %d", got, code)
		}
	}
	health("SERVING", http.StatusOK)
	var drained gatewayv1.DrainResponse
	p.operate(t, "Drain", "{}", &drained)
	if drained.GetFlows() != 1 {
		t.Errorf("Drain answered %v, want 1 flow", &drained)
	}
	health("NOT_SERVING", http.StatusServiceUnavailable)
	f.cross(t, 3) // goes on
	for _, via := range transports {
		client := p.dial(t, via)
		mustSend(t, client, botMessage(zio.Extract, 2, 0))
		wantEOT(t, client, flow.Draining, "")
	}
	p.operate(t, "Undrain", "{}", &gatewayv1.UndrainResponse{})
	health("SERVING", http.StatusOK)
	p.openFlow(t, l, viaGRPC, viaGRPC, zio.Extract, 2).end(t)
	f.cross(t, 1)
	f.end(t)
}

func TestAdminSetsLogLevel(t *testing.T) {
	p := serve(t, []string{"--default-routes"}, nil)
	set := func(level, previous string) {
		t.Helper()
		var r gatewayv1.SetLogLevelResponse
		p.operate(t, "SetLogLevel", fmt.Sprintf(`{"level":"%s"}`, level), &r)
		if r.GetPrevious() != previous {
			t.Errorf("before %s it was %s, want %s", level, r.GetPrevious(), previous)
		}
	}
	get := func() {
		t.Helper()
		c := p.grpcurl(t, flowService+"Get")
		c.ask(t, `{"bot":{"attributes":{"count":0}}}`)
		c.hearAll(t)
	}
	set("debug", "info")
	get()
	p.log.waitFor(t, `msg="flow active" flow=1`)
	set("error", "debug")
	get()
	set("info", "error")
	get()
	p.log.waitFor(t, `msg="flow ended" flow=3`)
	if strings.Contains(p.log.text(), `msg="flow ended" flow=2`) {
		t.Errorf("flow 2 was logged although the level was error:\n%s", p.log.text())
	}
	bad := p.grpcurl(t, adminService+"SetLogLevel")
	bad.ask(t, `{"level":"loud"}`)
	bad.end(t, 64+3, "level")
}

// TestPeersAreGone: after flows of every kind and end nobody is counted any more.
func TestPeersAreGone(t *testing.T) {
	g := startGateway(t, func(s *settings) { s.defaultRoutes = true })
	l := g.listen(t, &gatewayv1.ListenRequest{Name: "any"})
	for _, client := range transports {
		for i, handler := range transports {
			f := g.openFlow(t, l, client, handler, zio.Extract, 2)
			f.cross(t, 1)
			switch i {
			case 0:
				f.end(t)
			case 1:
				if _, err := g.broker.EndFlow(g.latest(), "enough"); err != nil {
					t.Error(err)
				}
			}
			f.client.leave()
			f.handler.leave()
		}
	}
	eventually(t, "peers", func() error {
		n := 0
		for _, count := range g.broker.Stats().Peers {
			n += count
		}
		if n > 0 {
			return fmt.Errorf("there are still %v", g.broker.Stats().Peers)
		}
		return nil
	})
}

// latest is the flow that began last.
func (g *inProcess) latest() (id transport.FlowID) {
	for f := range g.broker.FlowsBefore(broker.Latest) {
		return f.ID()
	}
	return 0
}

// TestRoutesChangeUnderLoad: while flows come and go, a route is added and takes
// those that match, and is removed again; not one flow fails.
func TestRoutesChangeUnderLoad(t *testing.T) {
	p := serve(t, []string{"--default-routes"}, nil)
	conn, err := connect(p.addresses[viaGRPC])
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	get := func() (uint64, error) { return takeFlow(conn, `{"count":3,"stream":"x"}`) }
	var load sync.WaitGroup
	var stop atomic.Bool
	for range 4 {
		load.Go(func() {
			for !stop.Load() {
				if _, err := get(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	defer load.Wait()
	defer stop.Store(true)
	wantRoute := func(want string) {
		t.Helper()
		id, err := get()
		if err != nil {
			t.Fatal(err)
		}
		if route := p.getFlow(t, id).GetRoute(); route != want {
			t.Errorf("flow %d took %q, want %q", id, route, want)
		}
	}
	for range 3 {
		wantRoute("generate")
		p.operate(t, "AddRoute", `{"route":{"name":"extra","match":"attributes.stream == 'x'","builtin":{"name":"generate"}}}`,
			&gatewayv1.AddRouteResponse{})
		wantRoute("extra")
		var removed gatewayv1.RemoveRouteResponse
		p.operate(t, "RemoveRoute", `{"name":"extra"}`, &removed)
		if removed.GetRoute().GetTaken() == 0 {
			t.Errorf("removed %v, which no flow took", &removed)
		}
	}
	wantRoute("generate")
}
