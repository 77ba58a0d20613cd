package main_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/zio"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// serveInto is serve with standard output and error into a file, which is the
// process's alone afterwards.
func serveInto(t *testing.T, output *os.File, arguments ...string) *program {
	t.Helper()
	p := &program{file: filepath.Join(t.TempDir(), "ready.json"), log: newLogBuffer(), exited: make(chan error, 1)}
	arguments = append(append([]string{"serve", "--ready-file", p.file}, ephemeral...), arguments...)
	p.command = gatewayCommand(t, lifetime, arguments, nil)
	p.command.Stdout, p.command.Stderr = output, output
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	_ = output.Close()
	go func() { p.exited <- p.command.Wait() }()
	t.Cleanup(func() { p.kill(t) })
	p.readAddresses(t)
	return p
}

// pipe is a pipe whose ends the test's end closes.
func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = r.Close(), w.Close() })
	return r, w
}

// fill makes a pipe take nothing more.
func fill(t *testing.T, w *os.File) {
	t.Helper()
	raw, err := w.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	full := false
	err = raw.Write(func(fd uintptr) bool {
		for !full {
			_, err := unix.Write(int(fd), []byte("x"))
			full = err != nil // it does not wait
		}
		return true
	})
	if err != nil || !full {
		t.Fatal(err)
	}
}

// goesOn checks that the gateway serves: a flow that is under way, new ones of every
// transport, health, operators. It has many lines to log meanwhile.
func (p *program) goesOn(t *testing.T, l *listener, running *activeFlow) {
	t.Helper()
	bad := p.dial(t, viaClient)
	for range 200 {
		mustSend(t, bad, flowMessage(`{"flow":"BOT","direction":"sideways","credit":1}`))
		checkOwnEOT(t, mustRecv(t, bad, zio.EOT), flow.ProtocolError, "")
	}
	running.cross(t, 3)
	for _, via := range transports {
		f := p.openFlow(t, l, via, viaGRPC, zio.Extract, 2)
		f.cross(t, 2)
		f.end(t)
	}
	if code, body := p.health(t); code != 200 {
		t.Errorf("health is %d %s", code, body)
	}
}

// TestLogReaderStandsStill: a gateway whose output is a pipe that is full, and that
// nobody reads, gets ready, serves, and stops when it is told to.
func TestLogReaderStandsStill(t *testing.T) {
	_, w := pipe(t)
	fill(t, w)
	p := serveInto(t, w, "--log-level=debug")
	l := p.listen(t, &gatewayv1.ListenRequest{Name: "all"})
	running := p.openFlow(t, l, viaClient, viaDealer, zio.Extract, 4)
	p.goesOn(t, l, running)
	p.signal(t, syscall.SIGTERM)
	if code := p.wait(t, stopLimit); code != 0 {
		t.Errorf("after SIGTERM the exit code is %d, want 0", code)
	}
}

// TestLogReaderGone: a gateway whose output nobody reads any more serves, counts
// the lines that are lost, and stops in good order.
func TestLogReaderGone(t *testing.T) {
	r, w := pipe(t)
	_ = r.Close()
	p := serveInto(t, w, "--log-level=debug")
	l := p.listen(t, &gatewayv1.ListenRequest{Name: "all"})
	running := p.openFlow(t, l, viaClient, viaDealer, zio.Extract, 4)
	p.goesOn(t, l, running)
	p.scrapeUntil(t, "lines that are lost", func(s scrape) bool { return s["zio_gateway_log_dropped_total"] > 100 })
	p.signal(t, syscall.SIGTERM)
	if code := p.wait(t, stopLimit); code != 0 {
		t.Errorf("after SIGTERM the exit code is %d, want 0", code)
	}
}

// TestLogReaderGoneAtFailure: a gateway that cannot start says so by its exit code,
// whoever reads.
func TestLogReaderGoneAtFailure(t *testing.T) {
	for _, gone := range []bool{false, true} {
		t.Run(strconv.FormatBool(gone), func(t *testing.T) {
			r, w := pipe(t)
			if gone {
				_ = r.Close()
			} else {
				fill(t, w)
			}
			command := gatewayCommand(t, stopLimit, []string{"serve", "--grpc=127.0.0.1:1", "--zmq-server=none", "--zmq-router=none", "--http=none",
				"--ready-file=/nowhere/ready"}, nil)
			command.Stdout, command.Stderr = w, w
			_ = command.Run()
			if code := command.ProcessState.ExitCode(); code != 1 {
				t.Errorf("the exit code is %d (%v), want 1", code, command.ProcessState)
			}
		})
	}
}

// TestLogFlood: one peer that sends wrong BOTs as fast as it can, or begins flows
// over flows, has few lines of log. The log says how many are missing, and so does
// a metric. Who is refused meanwhile at another address is not tested here: all
// peers are at one.
func TestLogFlood(t *testing.T) {
	p := serve(t, nil, nil)
	for _, attack := range []struct {
		kind, label string
	}{
		{"bot_refused", `{"flow":"BOT","direction":"sideways","credit":1}`},
		{"flow_failed", `{"flow":"BOT","direction":"extract","credit":1,"builtin":"dump"}`}, // each ends the one before
	} {
		t.Run(attack.kind, func(t *testing.T) {
			const enough = 1000
			before := len(p.log.text())
			flood := p.dial(t, viaClient)
			eventually(t, "lines left out", func() error {
				for range 100 {
					mustSend(t, flood, flowMessage(attack.label))
				}
				if n := p.scrape(t)[`zio_gateway_log_suppressed_total{kind="`+attack.kind+`"}`]; n < enough {
					return fmt.Errorf("%v are", n)
				}
				return nil
			})
			if grown := strings.Count(p.log.text()[before:], "\n"); grown > enough {
				t.Errorf("the flood makes %d lines", grown)
			}
			eventually(t, "the line that says what is missing", func() error {
				mustSend(t, flood, flowMessage(attack.label))
				if !strings.Contains(p.log.text()[before:], "suppressed=") {
					return os.ErrNotExist
				}
				return nil
			})
		})
	}
}
