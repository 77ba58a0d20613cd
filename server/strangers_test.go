package server_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/zioflow/gateway/server"
)

// TestStrangersWordsAreCut: of what somebody who is not let in can write, no line has
// more than a line's worth, and there are few: protocols in a TLS handshake, names of
// methods, user agents.
func TestStrangersWordsAreCut(t *testing.T) {
	t.Parallel()
	s := newSecrets(t)
	g := startGuarded(t, func(o *server.Options) { o.TLS = server.NewTLS(s.load(t)) })
	protocols := make([]string, 200)
	for i := range protocols {
		protocols[i] = fmt.Sprintf("%03d\n%s", i, strings.Repeat("x", 240))
	}
	for range 20 {
		conn, err := tls.Dial("tcp", g.address, &tls.Config{RootCAs: s.ca.Pool(), ServerName: "127.0.0.1", NextProtos: protocols})
		if err == nil {
			_ = conn.Close()
			t.Fatal("protocols that there are not were agreed upon")
		}
		<-g.denials
	}
	method := "/" + strings.Repeat("m", 3000) + "/\n" + strings.Repeat("n", 3000)
	for range 20 {
		_, conn := g.as(t, "", s.client(t, s.ca, "stranger"))
		ctx, cancel := context.WithCancel(g.ctx)
		err := conn.Invoke(ctx, method, &emptypb.Empty{}, &emptypb.Empty{}, grpc.WaitForReady(true))
		cancel()
		if err == nil {
			t.Fatal("a method that there is not was called")
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	lines := strings.Split(strings.TrimSpace(g.log.String()), "\n")
	if len(lines) > 15 || !strings.Contains(lines[0], "application protocols") {
		t.Errorf("there are %d lines, the first is %.200s", len(lines), lines[0])
	}
	for _, line := range lines {
		if len(line) > 2000 {
			t.Errorf("a line has %d bytes: %.200s", len(line), line)
		}
	}
}
