package server_test

import (
	"crypto/tls"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/server"
)

// TestCertificateExpiresOnAnOpenConnection: then calls by that connection are refused,
// and one that lasts is ended.
func TestCertificateExpiresOnAnOpenConnection(t *testing.T) {
	t.Parallel()
	s := newSecrets(t)
	g := startGuarded(t, func(o *server.Options) { o.TLS, o.Process = server.NewTLS(s.load(t)), process{} })
	g.policy.Replace(rulesOf(t, "identities: [{name: boss, roles: [client, admin], certificates: ['cn:short']}]"))
	const valid = 2 * time.Second // certificates count in seconds
	pair, err := s.ca.Client("short", valid)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := pair.TLS()
	if err != nil {
		t.Fatal(err)
	}
	expired := time.NewTimer(time.Until(certificate.Leaf.NotAfter) + time.Second)
	defer expired.Stop()
	boss, conn := g.as(t, "", credentials.NewTLS(&tls.Config{
		RootCAs: s.ca.Pool(), ServerName: "127.0.0.1", Certificates: []tls.Certificate{certificate},
	}))
	watch, err := gatewayv1.NewAdminServiceClient(conn).WatchFlows(boss.ctx, &gatewayv1.WatchFlowsRequest{Filter: "id == 0"})
	if err == nil {
		_, err = watch.Header()
	}
	if err != nil {
		t.Fatal(err)
	}
	call := func() error {
		_, err := gatewayv1.NewAdminServiceClient(conn).ListFlows(boss.ctx, &gatewayv1.ListFlowsRequest{})
		return err
	}
	if err := call(); err != nil {
		t.Fatalf("while it is valid: %v", err)
	}
	<-expired.C
	g.wantDenied(t, call(), codes.Unauthenticated, "BAD_CERTIFICATE", "bad_certificate")
	if err := watch.RecvMsg(new(gatewayv1.WatchFlowsResponse)); status.Code(err) != codes.PermissionDenied {
		t.Errorf("a call under way: %v", err)
	}
}
