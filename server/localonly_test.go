package server

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	channelzpb "google.golang.org/grpc/channelz/grpc_channelz_v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/zioflow/gateway/access"
	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/flow"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/server/admin"
)

// elsewhere is a listener whose connections all come from one address.
type elsewhere struct {
	*bufconn.Listener
	from net.Addr
}

func (l elsewhere) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	return remote{conn, l.from}, err
}

type remote struct {
	net.Conn
	from net.Addr
}

func (r remote) RemoteAddr() net.Addr { return r.from }

// serveFrom serves callers from that address, where callers are not authenticated.
func serveFrom(t *testing.T, from string, change func(*Options)) *grpc.ClientConn {
	t.Helper()
	address, err := net.ResolveTCPAddr("tcp", from)
	if err != nil {
		t.Fatal(err)
	}
	b, err := broker.New(broker.DefaultOptions())
	if err != nil {
		t.Fatal(err)
	}
	o := DefaultOptions(b.Options())
	o.Process = loner{}
	change(&o)
	s, listener, served := New(b, o), bufconn.Listen(1<<16), make(chan error, 1)
	go func() { served <- s.Serve(elsewhere{listener, address}) }()
	conn, err := grpc.NewClient("passthrough:gateway",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		b.Close(flow.Draining, "the test is over")
		s.Stop(t.Context())
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return conn
}

// TestOperatorsAreAtHome: where callers are not authenticated, what is for operators is for
// those on this machine, unless it is opened by name; all else is for everybody.
func TestOperatorsAreAtHome(t *testing.T) {
	t.Parallel()
	for from, c := range map[string]struct {
		public bool
		want   codes.Code
	}{
		"127.0.0.1:40000":            {want: codes.OK},
		"127.8.9.10:40000":           {want: codes.OK},
		"[::1]:40000":                {want: codes.OK},
		"[::ffff:127.0.0.1]:40000":   {want: codes.OK},
		"192.0.2.7:40000":            {want: codes.PermissionDenied},
		"10.0.0.1:40000":             {want: codes.PermissionDenied},
		"[fe80::1]:40000":            {want: codes.PermissionDenied},
		"[2001:db8::7]:40000":        {want: codes.PermissionDenied},
		"[::ffff:192.0.2.7]:40000":   {want: codes.PermissionDenied},
		"192.0.2.8:40000":            {want: codes.OK, public: true},
		"[::ffff:192.0.2.9]:40000":   {want: codes.OK, public: true},
		"[2001:db8::127:0:0:1]:4000": {want: codes.PermissionDenied},
	} {
		t.Run(from, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			var counted []string
			conn := serveFrom(t, from, func(o *Options) {
				o.PublicAdmin = c.public
				o.DenialLog = access.NewDenialLog(slog.New(slog.NewTextHandler(&log, nil)), func(front, cause, identity string) {
					counted = append(counted, front+" "+cause+identity)
				})
			})
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			_, err := gatewayv1.NewAdminServiceClient(conn).ListFlows(ctx, &gatewayv1.ListFlowsRequest{})
			if status.Code(err) != c.want {
				t.Errorf("ListFlows: %v, want %v", err, c.want)
			}
			watch, err := gatewayv1.NewAdminServiceClient(conn).WatchFlows(ctx, &gatewayv1.WatchFlowsRequest{})
			if err == nil && c.want != codes.OK { // the first event may be long in coming
				_, err = watch.Recv()
			}
			if status.Code(err) != c.want {
				t.Errorf("WatchFlows: %v, want %v", err, c.want)
			}
			_, err = channelzpb.NewChannelzClient(conn).GetServers(ctx, &channelzpb.GetServersRequest{})
			if status.Code(err) != c.want {
				t.Errorf("channelz: %v, want %v", err, c.want)
			}
			if _, err := healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{}); err != nil {
				t.Errorf("a health check: %v", err)
			}
			if _, err := gatewayv1.NewHandlerServiceClient(conn).Decline(ctx, &gatewayv1.DeclineRequest{Cid: 7}); status.Code(err) != codes.NotFound {
				t.Errorf("Decline: %v, want NotFound", err)
			}
			if c.want == codes.OK {
				return
			}
			if len(counted) != 3 || counted[0] != "grpc remote" {
				t.Errorf("counted %q, want three of grpc remote", counted)
			}
			if lines := log.String(); strings.Count(lines, "access denied") != 3 || !strings.Contains(lines, "--insecure admin") {
				t.Errorf("logged %s", lines)
			}
		})
	}
}

// loner stands for a program that is in no cluster, and of which nothing else is asked.
type loner struct{ admin.Process }

// Status implements admin.Process.
func (loner) Status() admin.ProcessStatus { return admin.ProcessStatus{} }
