package server_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/server"
)

// speaker writes frames of HTTP/2 as no client should.
type speaker struct {
	*http2.Framer
	block bytes.Buffer
	heads *hpack.Encoder
}

func (s *speaker) headers(pairs ...string) []byte {
	s.block.Reset()
	for i := 0; i < len(pairs); i += 2 {
		_ = s.heads.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]}) // a buffer takes all
	}
	return s.block.Bytes()
}

// call is the headers of a call that the gateway knows.
func (s *speaker) call(more ...string) []byte {
	return s.headers(append([]string{
		":method", "POST", ":scheme", "http", ":path", gatewayv1.FlowService_Get_FullMethodName, ":authority", "gateway",
		"content-type", "application/grpc", "te", "trailers",
	}, more...)...)
}

// TestCutConnectionsAreExplained: whatever gRPC cuts a connection for leaves a line that
// says why, and counts.
func TestCutConnectionsAreExplained(t *testing.T) {
	t.Parallel()
	for cause, speak := range map[string]func(s *speaker){
		"too_many_pings": func(s *speaker) {
			for range 5 {
				_ = s.WritePing(false, [8]byte{})
			}
		},
		"headers_too_large": func(s *speaker) {
			block := s.call("large", strings.Repeat("~", 300<<10))
			for first := true; len(block) > 0; first = false {
				n := min(len(block), 16<<10)
				if first {
					_ = s.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block[:n]})
				} else {
					_ = s.WriteContinuation(1, n == len(block), block[:n])
				}
				block = block[n:]
			}
		},
		"call_headers_too_large": func(s *speaker) {
			var many []string
			for range 200 {
				many = append(many, "large", strings.Repeat("a", 1000)) // once in the block, then its number
			}
			_ = s.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndHeaders: true, BlockFragment: s.call(many...)})
		},
		"malformed": func(s *speaker) { _ = s.WriteRawFrame(http2.FramePing, 0, 0, []byte("short")) },
	} {
		t.Run(cause, func(t *testing.T) {
			t.Parallel()
			log, registry := newLines(), prometheus.NewPedanticRegistry()
			s, address := openStation(t, "127.0.0.1:0", func(o *server.Options) { o.Log, o.Registry = log.logger(), registry })
			defer s.stop(t)
			conn, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
			p := &speaker{Framer: http2.NewFramer(conn, conn)}
			p.heads = hpack.NewEncoder(&p.block)
			_, _ = conn.Write([]byte(http2.ClientPreface))
			_ = p.WriteSettings()
			speak(p)
			message := "connection cut"
			if cause == "call_headers_too_large" {
				message = "call reset"
			}
			line := log.await(t.Context(), t, message)
			if line["cause"] != cause || line["detail"] == "" || !strings.Contains(fmt.Sprint(line["peer"]), conn.LocalAddr().String()) {
				t.Errorf("logged %v, want the cause %s and the peer %v", line, cause, conn.LocalAddr())
			}
			if n := metric(t, registry, "zio_gateway_grpc_connections_cut_total"); n != 1 {
				t.Errorf("%v were counted", n)
			}
		})
	}
}

// TestTooOldIsExplained: calls that outlast the grace of an old connection are cut with
// it, with a line; a connection that has none goes without a word.
func TestTooOldIsExplained(t *testing.T) {
	t.Parallel()
	log := newLines()
	s, address := openStation(t, "127.0.0.1:0", func(o *server.Options) {
		o.Log, o.MaxAge, o.AgeGrace = log.logger(), 200*time.Millisecond, 200*time.Millisecond
	})
	defer s.stop(t)
	conn, err := grpc.NewClient("passthrough:"+address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	stream, err := gatewayv1.NewFlowServiceClient(conn).Open(ctx)
	if err != nil {
		t.Fatal(err)
	}
	send(t, stream, giving(1))
	awaitCredit(t, stream)
	if line := log.await(ctx, t, "connection cut"); line["cause"] != "too_old" || line["level"] != "INFO" {
		t.Errorf("logged %v", line)
	}
	if _, err := stream.Recv(); err == nil {
		t.Error("the call goes on")
	}
	if n := log.count("connection cut"); n != 1 {
		t.Errorf("%d lines", n)
	}
}
