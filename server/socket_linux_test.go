package server_test

import (
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/zioflow/gateway/broker"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/server"
)

// noted is a listener that passes on what it has accepted.
type noted struct {
	net.Listener
	accepted chan net.Conn
}

func (n noted) Accept() (net.Conn, error) {
	c, err := n.Listener.Accept()
	if err == nil {
		n.accepted <- c
	}
	return c, err
}

// TestSocketOptions: gRPC reaches the socket, whatever looks at its bytes, and bounds
// how long sent ones may go unacknowledged.
func TestSocketOptions(t *testing.T) {
	t.Parallel()
	b, err := broker.New(broker.DefaultOptions())
	if err != nil {
		t.Fatal(err)
	}
	o := server.DefaultOptions(b.Options())
	o.KeepaliveTimeout = 7 * time.Second
	s := server.New(b, o)
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := noted{inner, make(chan net.Conn, 10)}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	conn, err := grpc.NewClient("passthrough:"+inner.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	// No listener has offered anything, as the server says: the connection works.
	if _, err := gatewayv1.NewHandlerServiceClient(conn).Decline(t.Context(), &gatewayv1.DeclineRequest{Cid: 1}); err == nil {
		t.Error("an offer was declined that was never made")
	}
	raw, err := (<-l.accepted).(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var milliseconds int
	if control := raw.Control(func(fd uintptr) {
		milliseconds, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT)
	}); control != nil || err != nil || milliseconds != 7000 {
		t.Errorf("TCP_USER_TIMEOUT is %d ms, %v, %v; want 7000", milliseconds, control, err)
	}
	_ = conn.Close()
	s.Stop(t.Context())
	if err := <-served; err != nil {
		t.Error(err)
	}
}
