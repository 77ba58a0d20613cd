package front

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc/test/bufconn"

	"github.com/zioflow/gateway/gateway/reload"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serveInMemory serves a handler in a test's bubble, and returns how to connect.
func serveInMemory(t *testing.T, handler http.HandlerFunc) func() net.Conn {
	t.Helper()
	listener := bufconn.Listen(1 << 10)
	server := newHTTP(handler, slog.New(slog.DiscardHandler))
	served := make(chan error, 1)
	go func() { served <- server.Serve(httpCrowd().Listen(listener)) }()
	t.Cleanup(func() {
		if err := errors.Join(server.Close(), listener.Close()); err != nil {
			t.Error(err)
		}
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return func() net.Conn {
		conn, err := listener.DialContext(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		return conn
	}
}

// TestHTTPWaitsForNobody: whoever is slow loses his connection, in time.
func TestHTTPWaitsForNobody(t *testing.T) {
	const whole = "GET / HTTP/1.1\r\nHost: x\r\n"
	for name, c := range map[string]struct {
		send  string
		reads bool
		after time.Duration
	}{
		"nothing":        {"", true, httpRequestTimeout},
		"half a header":  {whole + "X: ", true, httpRequestTimeout},
		"no body":        {whole + "Content-Length: 10\r\n\r\n", true, httpRequestTimeout},
		"idle":           {whole + "\r\n", true, httpIdleTimeout},
		"does not read":  {whole + "\r\n", false, httpAnswerTimeout},
		"too much of it": {whole + "X: " + strings.Repeat("x", 3*httpHeaders) + "\r\n\r\n", true, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				connect := serveInMemory(t, func(w http.ResponseWriter, _ *http.Request) {
					_, _ = w.Write(make([]byte, 100_000))
				})
				conn := connect()
				begin := time.Now()
				go func() { _, _ = io.WriteString(conn, c.send) }()
				if !c.reads {
					time.Sleep(c.after + time.Second)
					n, _ := io.Copy(io.Discard, conn)
					if n > 10_000 {
						t.Errorf("%d bytes were sent to somebody who did not read them", n)
					}
					return
				}
				_, _ = io.Copy(io.Discard, conn)
				if took := time.Since(begin); took < c.after || took > c.after+time.Second {
					t.Errorf("the connection lived %v, want %v", took, c.after)
				}
			})
		})
	}
}

// TestHTTPHasRoom: as many connections as there may be, which do nothing, keep nobody
// out.
func TestHTTPHasRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		connect := serveInMemory(t, func(http.ResponseWriter, *http.Request) {})
		var idle []net.Conn
		for range httpConnections {
			idle = append(idle, connect())
			synctest.Wait()
		}
		conn := connect()
		if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if answer, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || answer.StatusCode != http.StatusOK {
			t.Errorf("got %v, %v", answer, err)
		}
		if _, err := idle[0].Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("the oldest connection: %v", err)
		}
	})
}

// TestReadyz tells of a reload that has failed, until one has succeeded; strangers are not
// told of the files.
func TestReadyz(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		notes := reload.NewNotes(slog.New(slog.DiscardHandler), func(bool, int) {})
		draining := false
		soon := ""
		checks := health{func() bool { return draining }, notes.Pending, func() string { return soon }}
		readyz := func() (int, string) {
			answer := httptest.NewRecorder()
			checks.readyz(answer, httptest.NewRequest(http.MethodGet, "/readyz", nil))
			return answer.Code, answer.Body.String()
		}
		if code, body := readyz(); code != http.StatusOK || body != "ok\n" {
			t.Errorf("before, /readyz returns %d %s", code, body)
		}
		notes.Failed(reload.Configuration, errors.New("too many open files"))
		if code, body := readyz(); code != http.StatusServiceUnavailable || !strings.HasPrefix(body, "configuration not reloaded since 2000-01-01T") ||
			strings.Contains(body, "files") {
			t.Errorf("/readyz returns %d %s", code, body)
		}
		draining = true
		if code, body := readyz(); code != http.StatusServiceUnavailable || !strings.HasPrefix(body, "draining\nconfiguration not reloaded since ") {
			t.Errorf("draining, /readyz returns %d %s", code, body)
		}
		draining = false
		notes.Succeeded(reload.Configuration)
		if code, _ := readyz(); code != http.StatusOK {
			t.Errorf("in the end, /readyz returns %d", code)
		}
		soon = "the certificate expires"
		if code, body := readyz(); code != http.StatusOK || body != "ok\nthe certificate expires\n" {
			t.Errorf("with something to come, /readyz returns %d %s", code, body)
		}
	})
}
