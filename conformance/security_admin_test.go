package main_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/zioflow/gateway/broker/zio"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// TestDenialsAreCounted: what was refused shows in the metrics, by front and
// cause.
func TestDenialsAreCounted(t *testing.T) {
	s := serveSecured(t, "--tls-client-auth=optional")
	for _, token := range []string{"", "a guess"} {
		if _, err := open(withToken(t, token), s.conn(t, ""), taking3); status.Code(err) != codes.Unauthenticated {
			t.Errorf("%v, want UNAUTHENTICATED", err)
		}
	}
	p := s.native(t, viaDealer, "reader")
	mustSend(t, p, botMessage(zio.Extract, 2, 0))
	mustRecv(t, p, zio.EOT)
	mustSend(t, s.native(t, viaClient, "stranger"), botMessage(zio.Inject, 2, 0))
	for labels, want := range map[string]string{
		`cause="no_credentials",front="grpc"`:    "1",
		`cause="unknown_token",front="grpc"`:     "1",
		`cause="direction",front="zmq-router"`:   "1",
		`cause="unknown_key",front="zmq-server"`: "1",
		`cause="unknown_key",front="zmq-router"`: "0",
	} {
		line := "zio_gateway_auth_failures_total{" + labels + "} " + want
		eventually(t, line, func() error {
			if text := s.metrics(t); !strings.Contains(text, line+"\n") {
				return fmt.Errorf("is not in\n%s", text)
			}
			return nil
		})
	}
}

// metrics are those of auth failures.
func (s *secured) metrics(t *testing.T) string {
	t.Helper()
	response, err := http.Get("http://" + s.http + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "zio_gateway_auth_failures_total{") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

// TestAdminNeedsItsRole: who steers the gateway has to be an admin, who is then
// shown how each address is secured, and puts changed files to use.
func TestAdminNeedsItsRole(t *testing.T) {
	s := serveSecured(t, "--tls-client-auth=optional")
	_, err := gatewayv1.NewAdminServiceClient(s.conn(t, "writer")).GetStatus(withToken(t, ""), &gatewayv1.GetStatusRequest{})
	if status.Code(err) != codes.PermissionDenied {
		t.Errorf("a client asks for the status: %v, want PERMISSION_DENIED", err)
	}
	s.wantLine(t, "access denied", "cause=role", "identity=writer", "admin")
	admin := gatewayv1.NewAdminServiceClient(s.conn(t, "boss"))
	answer, err := admin.GetStatus(withToken(t, ""), &gatewayv1.GetStatusRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for _, endpoint := range answer.GetEndpoints() {
		want := map[string]string{"grpc": "tls", "zmq-server": "curve", "zmq-router": "curve", "http": "none"}
		if endpoint.GetSecurity() != want[endpoint.GetTransport()] {
			t.Errorf("%v is secured by %q", endpoint, endpoint.GetSecurity())
		}
	}
	reloaded, err := admin.Reload(withToken(t, ""), &gatewayv1.ReloadRequest{})
	if err != nil || !slices.ContainsFunc(reloaded.GetChanges(), func(line string) bool { return strings.HasPrefix(line, "identities: 5 in ") }) {
		t.Errorf("reload: %v, %v", reloaded, err)
	}
	s.write(t, "identities: [{name: boss, roles: [chef]}]")
	if _, err := admin.Reload(withToken(t, ""), &gatewayv1.ReloadRequest{}); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("reload of a file that makes no sense: %v", err)
	}
}
