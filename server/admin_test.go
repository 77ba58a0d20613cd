package server_test

import (
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/zioflow/gateway/broker"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/server"
	"github.com/zioflow/gateway/server/admin"
)

// program is what is around the server as plain as can be.
type program struct {
	broker *broker.Broker
	server *server.Server

	mu       sync.Mutex
	draining bool            // guarded by mu
	level    slog.Level      // guarded by mu
	reloaded *admin.Reloaded // guarded by mu; nil to fail
}

func (p *program) Status() admin.ProcessStatus {
	p.mu.Lock()
	defer p.mu.Unlock()
	return admin.ProcessStatus{
		Version: "v1", Started: time.Unix(1000, 999), Configured: time.Unix(2000, 0), Draining: p.draining, LogLevel: p.level,
		Endpoints: []admin.Endpoint{{Transport: "grpc", Address: "here:1", Security: "none"}},
	}
}

func (p *program) Drain() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.draining = true
	p.broker.Drain()
	p.server.Drain()
}

func (p *program) Undrain() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.broker.Undrain() {
		return errors.New("too late")
	}
	p.draining = false
	p.server.Undrain()
	return nil
}

func (p *program) SetLogLevel(level slog.Level) slog.Level {
	p.mu.Lock()
	defer p.mu.Unlock()
	previous := p.level
	p.level = level
	return previous
}

func (p *program) Reload() (admin.Reloaded, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reloaded == nil {
		return admin.Reloaded{}, errors.New("routes[1].match: no such function")
	}
	return *p.reloaded, nil
}

// wantStatus checks an error's code, its words and that it has a detail of type
// D.
func wantStatus[D any](t *testing.T, err error, code codes.Code, words string) {
	t.Helper()
	s := status.Convert(err)
	has := slices.ContainsFunc(s.Details(), func(d any) bool { _, is := d.(D); return is })
	if s.Code() != code || !strings.Contains(s.Message(), words) || !has {
		t.Errorf("%v with %v, want %v with %q in it and %T", err, s.Details(), code, words, *new(D))
	}
}

func TestGetStatus(t *testing.T) {
	f := start(t, nil)
	stream := f.open(t, giving(1))
	if m, err := stream.Recv(); err != nil || m.GetBot() == nil {
		t.Fatalf("got %v, %v", m, err)
	}
	got, err := f.flows.Put(f.ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []*gatewayv1.PutRequest{
		{Message: &gatewayv1.PutRequest_Bot{Bot: &gatewayv1.Bot{Credit: 2}}},
		{Message: &gatewayv1.PutRequest_Dat{Dat: &gatewayv1.Dat{Payload: [][]byte{make([]byte, 100)}}}},
		{Message: &gatewayv1.PutRequest_Dat{Dat: &gatewayv1.Dat{}}},
	} {
		if err := got.Send(r); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := got.CloseAndRecv(); err != nil {
		t.Fatal(err)
	}
	r, err := f.admin.GetStatus(f.ctx, &gatewayv1.GetStatusRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if r.GetActiveFlows() != 1 || r.GetPendingFlows() != 0 || len(r.GetEndedFlows()) != 1 || r.GetEndedFlows()["completed"] != 1 ||
		r.GetMessages() != 2 || r.GetBytes() != 100 || r.GetPeers() < 2 || r.GetListeners() != 0 || r.GetDraining() {
		t.Errorf("status %v", r)
	}
	if r.GetVersion() != "v1" || r.GetLogLevel() != "info" || r.GetStarted().AsTime() != time.Unix(1000, 0).UTC() ||
		r.GetConfigured().AsTime() != time.Unix(2000, 0).UTC() || r.GetEndpoints()[0].GetAddress() != "here:1" {
		t.Errorf("of the process: %v", r)
	}
	if l := r.GetLimits(); l.GetMaxCredit() != 1000 || l.GetPendingTimeout().AsDuration() != 5*time.Second || l.GetIdleTimeout().AsDuration() != 0 {
		t.Errorf("limits %v", l)
	}
}

func TestDrainAndUndrain(t *testing.T) {
	f := start(t, nil)
	stream := f.open(t, giving(1))
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	r, err := f.admin.Drain(f.ctx, &gatewayv1.DrainRequest{})
	if err != nil || r.GetFlows() != 1 {
		t.Errorf("Drain: %v, %v", r, err)
	}
	if got := transcript(f.open(t, giving(1))); got != "Unavailable" {
		t.Errorf("while draining: %s", got)
	}
	if r, err := f.admin.GetStatus(f.ctx, &gatewayv1.GetStatusRequest{}); err != nil || !r.GetDraining() {
		t.Errorf("status while draining: %v, %v", r, err)
	}
	if _, err := f.admin.Undrain(f.ctx, &gatewayv1.UndrainRequest{}); err != nil {
		t.Error(err)
	}
	if m, err := f.open(t, giving(1)).Recv(); err != nil || m.GetBot() == nil {
		t.Errorf("afterwards: %v, %v", m, err)
	}
	f.broker.Close(0, "")
	_, err = f.admin.Undrain(f.ctx, &gatewayv1.UndrainRequest{})
	wantStatus[*errdetails.PreconditionFailure](t, err, codes.FailedPrecondition, "too late")
}

func TestSetLogLevel(t *testing.T) {
	f := start(t, nil)
	set := func(level string) (string, error) {
		r, err := f.admin.SetLogLevel(f.ctx, &gatewayv1.SetLogLevelRequest{Level: level})
		return r.GetPrevious(), err
	}
	if previous, err := set("debug"); previous != "info" || err != nil {
		t.Errorf("before debug: %s, %v", previous, err)
	}
	if previous, err := set("error"); previous != "debug" || err != nil || f.process.Status().LogLevel != slog.LevelError {
		t.Errorf("before error: %s, %v", previous, err)
	}
	_, err := set("loud")
	wantStatus[*errdetails.BadRequest](t, err, codes.InvalidArgument, "level")
}

func TestReload(t *testing.T) {
	f := start(t, nil)
	_, err := f.admin.Reload(f.ctx, &gatewayv1.ReloadRequest{})
	wantStatus[*errdetails.PreconditionFailure](t, err, codes.FailedPrecondition, "routes[1].match: no such function")
	f.process.reloaded = &admin.Reloaded{Changes: []string{"max-credit: 10 → 20"}, NeedRestart: []string{"grpc"}}
	r, err := f.admin.Reload(f.ctx, &gatewayv1.ReloadRequest{})
	if err != nil || r.GetChanges()[0] != "max-credit: 10 → 20" || r.GetNeedRestart()[0] != "grpc" {
		t.Errorf("%v, %v", r, err)
	}
}

// TestPeersComeAndGo: whatever becomes of a stream and its flow, nobody is left.
func TestPeersComeAndGo(t *testing.T) {
	f := start(t, nil)
	peers := func(transport string) []*gatewayv1.ConnectedPeer {
		t.Helper()
		r, err := f.admin.ListPeers(f.ctx, &gatewayv1.ListPeersRequest{Transport: transport})
		if err != nil {
			t.Fatal(err)
		}
		return r.GetPeers()
	}
	stream := f.open(t, giving(1))
	awaitCredit(t, stream)
	if all, own := peers(""), peers("builtin"); len(all) != 2 || len(own) != 1 || own[0].GetFlowId() != 1 ||
		own[0].GetPeer().GetIdentity() != "dump" || own[0].GetConnected() == nil || all[1].GetPeer().GetTransport() != "grpc" {
		t.Errorf("all peers %v, built-in ones %v", all, own)
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	transcript(stream)
	for _, first := range []*gatewayv1.OpenRequest{
		{}, bot(nil), bot(&gatewayv1.Bot{Credit: -1}), bot(&gatewayv1.Bot{Direction: 7}), bot(&gatewayv1.Bot{Label: "{"}),
		bot(&gatewayv1.Bot{Cid: 7, Direction: 1}), bot(&gatewayv1.Bot{Level: 99}), dat(&gatewayv1.Dat{}),
	} {
		transcript(f.open(t, first))
	}
	for _, b := range []*gatewayv1.Bot{nil, {Credit: -1}, {Direction: 1}, {Label: `{"count":1}`}, {Label: `{"count":-1}`}} {
		get, err := f.flows.Get(f.ctx, &gatewayv1.GetRequest{Bot: b})
		for err == nil {
			_, err = get.Recv()
		}
		put, err := f.flows.Put(f.ctx)
		if err != nil {
			t.Fatal(err)
		}
		// What is wrong with it, the answer says.
		_ = put.Send(&gatewayv1.PutRequest{Message: &gatewayv1.PutRequest_Bot{Bot: b}})
		_ = put.Send(&gatewayv1.PutRequest{})
		_, _ = put.CloseAndRecv()
	}
	deadline := time.After(10 * time.Second)
	for ticker := time.NewTicker(time.Millisecond); len(peers("")) > 0; {
		select {
		case <-ticker.C: // the last ones leave after their streams' end
		case <-deadline:
			t.Fatalf("there are still %v", peers(""))
		}
	}
}
