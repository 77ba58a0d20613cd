package server

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/zioflow/gateway/access"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// anyCall is how a caller can send whatever he likes.
var anyCall = &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}

// begin begins a call and sends nothing.
func (r *rig) begin(t *testing.T, method string, options ...grpc.CallOption) grpc.ClientStream {
	t.Helper()
	stream, err := r.conn.NewStream(r.ctx, anyCall, method, options...)
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

// end is what a call ends with.
func end(stream grpc.ClientStream) error {
	for {
		if err := stream.RecvMsg(new(healthpb.HealthCheckResponse)); err != nil { // or another message
			return err
		}
	}
}

func wantCode(t *testing.T, what string, err error, want codes.Code) {
	t.Helper()
	if status.Code(err) != want {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

// served are all methods that a server serves, and some that it does not.
func (r *rig) served() []string {
	all := []string{"/zio.gateway.v1.AdminService/Other", "/zio.gateway.v1.Other/GetStatus", "/a/b/c", "/grpc.health.v1.Health/../Check"}
	for service, info := range r.server.grpc.GetServiceInfo() {
		for _, method := range info.Methods {
			all = append(all, "/"+service+"/"+method.Name)
		}
	}
	return all
}

func adminRig(t *testing.T, change func(*Options)) *rig {
	return newSlowRig(t, func(o *Options) {
		o.Process = loner{}
		change(o)
	})
}

// guardedRig asks everybody who he is.
func guardedRig(t *testing.T, change func(*Options)) *rig {
	rules, err := access.Parse([]byte(`{identities: [{name: boss, roles: [admin, client, handler], tokens: [{sha256: ` +
		access.HashToken("secret") + `}]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	policy := access.NewPolicy(rules, nil, nil)
	t.Cleanup(policy.Close)
	return adminRig(t, func(o *Options) {
		o.Access = policy
		change(o)
	})
}

// TestStrangersAreTurnedAwayUnheard: whoever may not call a method is told before he has
// sent a message, whether there is such a method or not.
func TestStrangersAreTurnedAwayUnheard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := guardedRig(t, func(*Options) {})
		defer r.stop()
		for _, method := range r.served() {
			if isOpen(method, false) && strings.Count(method, "/") == 2 {
				continue
			}
			begin := time.Now()
			err := end(r.begin(t, method))
			wantCode(t, method, err, codes.Unauthenticated)
			if waited := time.Since(begin); waited > 0 {
				t.Errorf("%s: was told after %v", method, waited)
			}
		}
	})
}

// TestWhatThereIsNot: it is refused, and counted under one name.
func TestWhatThereIsNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry := prometheus.NewRegistry()
		r := adminRig(t, func(o *Options) { o.Registry = registry })
		defer r.stop()
		for _, method := range []string{"/a/b", "/zio.gateway.v1.AdminService/Other", "/zio.gateway.v1.FlowService/", "nothing", "/", "/x"} {
			wantCode(t, method, end(r.begin(t, method)), codes.Unimplemented)
		}
		if err := testutil.GatherAndCompare(registry, strings.NewReader(`
# HELP zio_gateway_unknown_calls_total gRPC calls of methods that there are not.
# TYPE zio_gateway_unknown_calls_total counter
zio_gateway_unknown_calls_total 6
`), "zio_gateway_unknown_calls_total"); err != nil {
			t.Error(err)
		}
		if n, err := testutil.GatherAndCount(registry, "grpc_server_handled_total"); n != 1 || err != nil {
			t.Errorf("they have %d names in the metrics, want 1; %v", n, err)
		}
	})
}

// TestRequestsAreBounded: of everything but FlowService, in size, number and time.
func TestRequestsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := adminRig(t, func(*Options) {})
		defer r.stop()
		filled := func(n int) proto.Message { // n bytes on the wire
			m := &healthpb.HealthCheckRequest{Service: strings.Repeat("x", n)}
			m.Service = m.Service[:2*n-proto.Size(m)]
			return m
		}
		for _, method := range r.served() {
			if isFlow(method) || r.isUnknown(method) {
				continue
			}
			large := r.begin(t, method)
			if err := large.SendMsg(filled(maxRequest + 1)); err != nil {
				t.Fatal(err)
			}
			wantCode(t, method+", too large", end(large), codes.ResourceExhausted)

			fits := r.begin(t, method)
			if err := fits.SendMsg(filled(maxRequest)); err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(fits.CloseSend()); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- end(fits) }()
			synctest.Wait()
			select {
			case err := <-ended:
				if code := status.Code(err); code == codes.ResourceExhausted {
					t.Errorf("%s, as large as may be: %v", method, err)
				}
			default: // a stream that goes on
			}

			begin := time.Now()
			wantCode(t, method+", silent", end(r.begin(t, method)), codes.DeadlineExceeded)
			if waited := time.Since(begin); waited != requestTimeout {
				t.Errorf("%s: silent for %v", method, waited)
			}
			if strings.HasSuffix(method, "/ServerReflectionInfo") {
				continue // has many requests
			}
			twice := r.begin(t, method)
			for range 2 {
				if err := twice.SendMsg(new(healthpb.HealthCheckRequest)); err != nil {
					t.Fatal(err)
				}
			}
			wantCode(t, method+", twice", end(twice), codes.Internal)
			never := r.begin(t, method)
			if err := never.CloseSend(); err != nil {
				t.Fatal(err)
			}
			wantCode(t, method+", never", end(never), codes.Internal)
		}
	})
}

func (r *rig) isUnknown(method string) bool {
	service, name, _ := strings.Cut(strings.TrimPrefix(method, "/"), "/")
	for _, m := range r.server.grpc.GetServiceInfo()[service].Methods {
		if m.Name == name {
			return false
		}
	}
	return true
}

// TestFirstMessageOfAFlowIsAwaited: for so long.
func TestFirstMessageOfAFlowIsAwaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := adminRig(t, func(*Options) {})
		defer r.stop()
		for _, method := range []string{"Open", "Put", "Get"} {
			begin := time.Now()
			wantCode(t, method, end(r.begin(t, "/zio.gateway.v1.FlowService/"+method)), codes.Canceled)
			if waited := time.Since(begin); waited != firstTimeout {
				t.Errorf("%s: silent for %v", method, waited)
			}
		}
	})
}

// TestLongHeadersFailTheirOwnCall: and leave the connection, with the flows on it, alone.
func TestLongHeadersFailTheirOwnCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := adminRig(t, func(*Options) {})
		defer r.stop()
		stream, err := r.flows.Open(r.ctx)
		if err != nil {
			t.Fatal(err)
		}
		openRequest(botOf(gatewayv1.Direction_DIRECTION_EXTRACT, 1), stream, t)
		r.accept(t)
		for size, want := range map[int]codes.Code{1000: codes.OK, maxHeaders: codes.ResourceExhausted, 100_000: codes.ResourceExhausted} {
			ctx := metadata.AppendToOutgoingContext(r.ctx, "x", strings.Repeat("y", size))
			_, err := healthpb.NewHealthClient(r.conn).Check(ctx, new(healthpb.HealthCheckRequest))
			wantCode(t, "a header", err, want)
		}
		if m, err := stream.Recv(); err != nil || m.GetBot() == nil {
			t.Errorf("the flow beside it: %v, %v", m, err)
		}
	})
}

// TestCompressionIsRefused: with words that say how to do without.
func TestCompressionIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := adminRig(t, func(*Options) {})
		defer r.stop()
		for _, method := range r.served() {
			if r.isUnknown(method) {
				continue
			}
			err := end(r.begin(t, method, grpc.UseCompressor(gzip.Name)))
			wantCode(t, method, err, codes.Unimplemented)
			if !strings.Contains(err.Error(), "call without compression") {
				t.Errorf("%s: %v", method, err)
			}
		}
	})
}

// TestCallsAreBounded: in number, of all callers together, and in age.
func TestCallsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := adminRig(t, func(*Options) {})
		defer r.stop()
		if _, err := r.flows.Open(r.ctx); err != nil { // one who is known may call often
			t.Fatal(err)
		}
		synctest.Wait()
		health := healthpb.NewHealthClient(r.conn)
		watch := func() healthpb.Health_WatchClient {
			w, err := health.Watch(r.ctx, new(healthpb.HealthCheckRequest))
			if err != nil {
				t.Fatal(err)
			}
			return w
		}
		var watches []healthpb.Health_WatchClient
		for range 256 {
			w := watch()
			if _, err := w.Recv(); err != nil {
				t.Fatal(err)
			}
			watches = append(watches, w)
		}
		if _, err := watch().Recv(); status.Code(err) != codes.ResourceExhausted {
			t.Errorf("one watch more: %v", err)
		}
		if _, err := health.Check(r.ctx, new(healthpb.HealthCheckRequest)); status.Code(err) != codes.ResourceExhausted {
			t.Errorf("a check beside them: %v", err)
		}
		begin := time.Now()
		for _, w := range watches {
			_, err := w.Recv()
			wantCode(t, "a watch that has become old", err, codes.Unavailable)
		}
		if age := time.Since(begin); age != time.Hour {
			t.Errorf("they became %v old", age)
		}
		if _, err := watch().Recv(); err != nil {
			t.Errorf("a watch after them: %v", err)
		}
	})
}

// TestLongCallsEndWithTheServer: at once, with a status that says so.
func TestLongCallsEndWithTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := adminRig(t, func(*Options) {})
		defer r.stop()
		watch, err := healthpb.NewHealthClient(r.conn).Watch(r.ctx, new(healthpb.HealthCheckRequest))
		if err != nil {
			t.Fatal(err)
		}
		reflection, err := reflectionpb.NewServerReflectionClient(r.conn).ServerReflectionInfo(r.ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := reflection.Send(&reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{}}); err != nil {
			t.Fatal(err)
		}
		if _, err := reflection.Recv(); err != nil {
			t.Fatal(err)
		}
		if _, err := watch.Recv(); err != nil {
			t.Fatal(err)
		}
		half := r.begin(t, gatewayv1.AdminService_GetStatus_FullMethodName)
		flows, err := gatewayv1.NewAdminServiceClient(r.conn).WatchFlows(r.ctx, &gatewayv1.WatchFlowsRequest{})
		if err == nil {
			_, err = flows.Header()
		}
		if err != nil {
			t.Fatal(err)
		}
		ends := make(chan error, 4)
		for _, s := range []grpc.ClientStream{watch, reflection, half, flows} {
			go func() { ends <- end(s) }()
		}
		synctest.Wait()
		begin := time.Now()
		r.server.Stop(r.ctx)
		if took := time.Since(begin); took != 0 {
			t.Errorf("the stop took %v", took)
		}
		for range cap(ends) {
			err := <-ends
			wantCode(t, "a call", err, codes.Unavailable)
			if !strings.Contains(err.Error(), "shutting down") {
				t.Error(err)
			}
		}
	})
}

// TestUnreadCallsDoNotHoldTheServer: nor does one that is not read.
func TestUnreadCallsDoNotHoldTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := adminRig(t, func(*Options) {})
		defer r.stop()
		reflection, err := reflectionpb.NewServerReflectionClient(r.conn).ServerReflectionInfo(r.ctx)
		if err != nil {
			t.Fatal(err)
		}
		for range 300 { // their answers have 100 KiB and more
			if err := reflection.Send(&reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_FileContainingSymbol{
				FileContainingSymbol: "zio.gateway.v1.AdminService",
			}}); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		begin := time.Now()
		r.server.Stop(r.ctx)
		if took := time.Since(begin); took > stopPatience {
			t.Errorf("the stop took %v", took)
		}
	})
}

// TestUnreadCallsAreAborted: by the time after which every stream is.
func TestUnreadCallsAreAborted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := adminRig(t, func(o *Options) { o.Stall = time.Minute })
		defer r.stop()
		reflection, err := reflectionpb.NewServerReflectionClient(r.conn).ServerReflectionInfo(r.ctx)
		if err != nil {
			t.Fatal(err)
		}
		for range 300 {
			if err := reflection.Send(&reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_FileContainingSymbol{
				FileContainingSymbol: "zio.gateway.v1.AdminService",
			}}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(2 * time.Minute)
		wantCode(t, "a call that is not read", end(reflection), codes.Canceled)
	})
}

// TestIdleConnectionsEnd: those without a call.
func TestIdleConnectionsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := adminRig(t, func(*Options) {})
		defer r.stop()
		health := healthpb.NewHealthClient(r.conn)
		ctx, cancel := context.WithCancel(r.ctx)
		watch, err := health.Watch(ctx, new(healthpb.HealthCheckRequest))
		if err == nil {
			_, err = watch.Recv()
		}
		if err != nil {
			t.Fatal(err)
		}
		wire := <-r.wires
		time.Sleep(10 * maxIdle)
		if strangers, known, _ := r.server.guests.Count(); strangers != 1 || known != 0 {
			t.Errorf("%d strangers and %d known while there is a call", strangers, known)
		}
		cancel()
		time.Sleep(2 * maxIdle)
		if _, err := wire.Read(make([]byte, 1)); err == nil || errors.Is(err, io.ErrNoProgress) {
			t.Errorf("the connection is open: %v", err)
		}
		if strangers, known, _ := r.server.guests.Count(); strangers+known != 0 {
			t.Errorf("%d strangers and %d known with nobody there", strangers, known)
		}
		if _, err := health.Check(r.ctx, new(healthpb.HealthCheckRequest)); err != nil { // gRPC connects anew
			t.Error(err)
		}
	})
}

// TestWhoIsKnown: whoever may call what strangers may not.
func TestWhoIsKnown(t *testing.T) {
	for name, c := range map[string]struct {
		rig    func(*testing.T, func(*Options)) *rig
		token  string
		method string
		known  int
	}{
		"health check, open to all":           {adminRig, "", "/grpc.health.v1.Health/Check", 0},
		"unknown, open to all":                {adminRig, "", "/a/b", 0},
		"flow, open to all":                   {adminRig, "", gatewayv1.FlowService_Open_FullMethodName, 1},
		"flow, nobody":                        {guardedRig, "", gatewayv1.FlowService_Open_FullMethodName, 0},
		"flow, a guess":                       {guardedRig, "guess", gatewayv1.FlowService_Open_FullMethodName, 0},
		"flow, with token":                    {guardedRig, "secret", gatewayv1.FlowService_Open_FullMethodName, 1},
		"health check, with token, not asked": {guardedRig, "secret", "/grpc.health.v1.Health/Check", 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := c.rig(t, func(*Options) {})
				defer r.stop()
				if c.token != "" {
					r.ctx = metadata.AppendToOutgoingContext(r.ctx, "authorization", "Bearer "+c.token)
				}
				r.begin(t, c.method)
				synctest.Wait()
				if strangers, known, _ := r.server.guests.Count(); known != c.known || strangers != 1-c.known {
					t.Errorf("%d strangers and %d known", strangers, known)
				}
			})
		})
	}
}

// TestStrangersWhoCallTooOften: are refused; who is known may.
func TestStrangersWhoCallTooOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := guardedRig(t, func(*Options) {})
		defer r.stop()
		known := metadata.AppendToOutgoingContext(r.ctx, "authorization", "Bearer secret")
		var err error
		for n := 0; err == nil || status.Code(err) == codes.Unauthenticated; n++ {
			if n > 1000 {
				t.Fatal("a stranger may call as often as he likes")
			}
			err = end(r.begin(t, gatewayv1.FlowService_Open_FullMethodName))
		}
		wantCode(t, "too often", err, codes.ResourceExhausted)
		time.Sleep(time.Second)
		r.ctx = known
		if _, err := gatewayv1.NewHandlerServiceClient(r.conn).Decline(r.ctx, &gatewayv1.DeclineRequest{Cid: 1}); status.Code(err) != codes.NotFound {
			t.Fatal(err)
		}
		for range 1000 {
			wantCode(t, "a known one", end(r.begin(t, "/a/b")), codes.Unimplemented)
		}
	})
}

// TestStrangersMakeRoom: for other strangers, and keep nobody out who is known.
func TestStrangersMakeRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry := prometheus.NewRegistry()
		r := adminRig(t, func(o *Options) { o.Registry = registry })
		defer r.stop()
		stream, err := r.flows.Open(r.ctx)
		if err != nil {
			t.Fatal(err)
		}
		openRequest(botOf(gatewayv1.Direction_DIRECTION_EXTRACT, 1), stream, t)
		r.accept(t)
		for range 300 {
			conn, err := r.dial(r.ctx)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			synctest.Wait()
		}
		if err := testutil.GatherAndCompare(registry, strings.NewReader(`
# HELP zio_gateway_grpc_connections gRPC connections, by whether a caller of theirs was let in.
# TYPE zio_gateway_grpc_connections gauge
zio_gateway_grpc_connections{known="no"} 256
zio_gateway_grpc_connections{known="yes"} 1
# HELP zio_gateway_grpc_connections_crowded_total gRPC connections that were closed to make room for others, or for want of room.
# TYPE zio_gateway_grpc_connections_crowded_total counter
zio_gateway_grpc_connections_crowded_total 44
`), "zio_gateway_grpc_connections", "zio_gateway_grpc_connections_crowded_total"); err != nil {
			t.Error(err)
		}
		if m, err := stream.Recv(); err != nil || m.GetBot() == nil {
			t.Errorf("the flow beside them: %v, %v", m, err)
		}
		time.Sleep(time.Minute) // they have shown nothing
		if strangers, known, _ := r.server.guests.Count(); strangers != 0 || known != 1 {
			t.Errorf("%d strangers and %d known a minute later", strangers, known)
		}
	})
}
