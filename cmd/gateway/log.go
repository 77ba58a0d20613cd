package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"
	"google.golang.org/grpc/grpclog"

	"github.com/zioflow/gateway/internal/logs"
	"github.com/zioflow/gateway/internal/logs/async"
	"github.com/zioflow/gateway/internal/yamlfile"
)

// flushLog is how long the last lines may take to be read: a reader who stands
// still does not hold up the exit.
const flushLog = 500 * time.Millisecond

// openLog starts the log on standard error. Nobody who logs waits for who reads
// it.
func (c *serveCommand) openLog() *slog.Logger {
	c.level.Set(c.LogLevel)
	options := &slog.HandlerOptions{Level: &c.level, ReplaceAttr: logs.Bound}
	format := func(w io.Writer) slog.Handler { return slog.NewTextHandler(w, options) }
	if c.LogFormat == "json" {
		format = func(w io.Writer) slog.Handler { return slog.NewJSONHandler(w, options) }
	}
	c.log = async.Open(os.Stderr, format)
	return slog.New(format(c.log))
}

// adoptLibraries has libraries log to where the gateway does, what they would write
// to standard error by themselves. Peers can cause such lines.
func adoptLibraries(log *slog.Logger) {
	slog.SetDefault(log)
	otel.SetLogger(logr.FromSlogHandler(log.Handler()))
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Warn("OpenTelemetry failed", "error", err) }))
	lines := logs.NewSampler(log, logs.Options{}).Lines(slog.LevelWarn, "grpc")
	grpclog.SetLoggerV2(grpclog.NewLoggerV2(io.Discard, io.Discard, lines))
}

// survivePipes has writing to a pipe that nobody reads any more fail, also on
// standard output and error, where it would end the process. It does not ignore the
// signal, as commands of routes would do so with it. It holds to the end.
func survivePipes() {
	broken := make(chan os.Signal, 1) // nobody reads it: the error of the write says as much
	signal.Notify(broken, syscall.SIGPIPE)
}

// complain writes the error with which the process ends, unless nobody reads it.
func complain(err error) {
	last := async.Open(os.Stderr, nil)
	_, _ = fmt.Fprintf(last, "gateway: %s\n", yamlfile.Explain(err))
	last.Close(flushLog)
}
