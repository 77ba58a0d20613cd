//go:build soak

package soak

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	channelzpb "google.golang.org/grpc/channelz/grpc_channelz_v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/mem"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	reflectionalphapb "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"
	"google.golang.org/grpc/status"

	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// compressedMemory is what compressed requests may cost.
const compressedMemory = 64 << 20

// allMethods are those that the gateway has, and one that it has not.
func allMethods() (methods []string) {
	for _, s := range []grpc.ServiceDesc{
		gatewayv1.FlowService_ServiceDesc, gatewayv1.HandlerService_ServiceDesc, gatewayv1.AdminService_ServiceDesc,
		healthpb.Health_ServiceDesc, channelzpb.Channelz_ServiceDesc,
		reflectionpb.ServerReflection_ServiceDesc, reflectionalphapb.ServerReflection_ServiceDesc,
	} {
		for _, m := range s.Methods {
			methods = append(methods, "/"+s.ServiceName+"/"+m.MethodName)
		}
		for _, m := range s.Streams {
			methods = append(methods, "/"+s.ServiceName+"/"+m.StreamName)
		}
	}
	return append(methods, "/zio.gateway.v1.FlowService/Inflate")
}

// readyMade is an encoding whose messages are compressed already, by that name.
type readyMade string

func (r readyMade) Name() string                               { return string(r) }
func (readyMade) Compress(w io.Writer) (io.WriteCloser, error) { return unclosed{w}, nil }
func (readyMade) Decompress(io.Reader) (io.Reader, error)      { return nil, errors.ErrUnsupported }

type unclosed struct{ io.Writer }

func (unclosed) Close() error { return nil }

// encodings are those that a gateway could be asked to undo.
var encodings = []readyMade{"gzip", "deflate", "snappy", "zstd"}

func init() {
	for _, e := range encodings {
		encoding.RegisterCompressor(e)
	}
}

// bytesCodec sends bytes as they are, and reads nothing.
type bytesCodec struct{}

func (bytesCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}
func (bytesCodec) Unmarshal(mem.BufferSlice, any) error { return nil }
func (bytesCodec) Name() string                         { return "proto" }

// bomb is so many bytes, gzipped: a thousandth of that, or less.
func bomb(t *testing.T, size int) []byte {
	t.Helper()
	const member = 16 << 20 // of which a gzip file may have many
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write(make([]byte, member))
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return bytes.Repeat(b.Bytes(), size/member)
}

// TestCompressedRequests has strangers send compressed messages, of which a mebibyte
// would become a gibibyte, to every method: none is undone, each call is refused with a
// status, and memory stays as it is. The same where nobody is asked who he is.
func TestCompressedRequests(t *testing.T) {
	t.Run("everybody is asked who he is", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "identities.yaml")
		text := fmt.Sprintf("identities: [{name: boss, roles: [admin, client, handler], tokens: [{sha256: '%s'}]}]", strings.Repeat("ab", 32))
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		testCompressed(t, startGateway(t, "--identities="+file), viaClient)
	})
	t.Run("nobody is", func(t *testing.T) {
		testCompressed(t, startGateway(t), viaGRPC)
	})
}

func testCompressed(t *testing.T, g *gateway, honest transport) {
	methods, payload := allMethods(), bomb(t, 1<<30)
	if _, err := freshFlow(g, honest); err != nil {
		t.Fatal(err)
	}
	base := g.usage(t)
	var (
		answers tally
		took    sample
		done    = make(chan struct{})
		wait    sync.WaitGroup
	)
	wait.Go(func() {
		for {
			d, err := freshFlow(g, honest)
			if err != nil {
				t.Errorf("honest flow: %v", err)
				return
			}
			took.add(d)
			select {
			case <-done:
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	})
	calls := scaled(60, 4) * len(methods)
	inParallel(calls, 4, func(i int) {
		method := methods[i%len(methods)]
		code, err := compressedCall(g, method, encodings[i/len(methods)%len(encodings)], payload)
		if err != nil {
			t.Errorf("%s: %v", method, err)
		}
		answers.add(code.String())
	})
	close(done)
	wait.Wait()
	u := g.usage(t)
	report(t, "each refused with a status; RSS ≤ base + "+mib(compressedMemory),
		"%d calls of %d methods, each of %s that would be %s: %v; RSS %s, peak %s; honest flows meanwhile via %s: %v",
		calls, len(methods), mib(int64(len(payload))), mib(1<<30), &answers, mib(base.rss), mib(u.peak), honest, &took)
	if u.peak > base.rss+compressedMemory {
		t.Errorf("RSS went from %s to %s", mib(base.rss), mib(u.peak))
	}
}

// compressedCall sends a message that says that it is compressed, on a connection of its
// own. It fails unless the call is refused.
func compressedCall(g *gateway, method string, as readyMade, payload []byte) (codes.Code, error) {
	conn, err := connect(g.addresses[viaGRPC])
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close() }()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, method,
		grpc.ForceCodecV2(bytesCodec{}), grpc.UseCompressor(as.Name()))
	if err == nil {
		_ = stream.SendMsg(payload) // fails where the call has been refused: RecvMsg says why
		err = stream.RecvMsg(nil)
	}
	switch code := status.Code(err); code {
	case codes.Unimplemented, codes.Unauthenticated, codes.PermissionDenied, codes.ResourceExhausted, codes.InvalidArgument:
		return code, nil
	default:
		return code, fmt.Errorf("the call ended with %w", err)
	}
}
