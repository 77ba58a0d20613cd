package main

import (
	"bytes"
	"errors"
	"log"
	"log/slog"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"google.golang.org/grpc/grpclog"
)

// TestCommandsDieOfBrokenPipes: what the gateway does to survive a reader who is
// gone holds for it alone: a command of a route ends like any other.
func TestCommandsDieOfBrokenPipes(t *testing.T) {
	survivePipes()
	err := exec.Command("sh", "-c", "kill -s PIPE $$; echo survived").Run()
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		t.Fatalf("the command ended with %v, want the signal", err)
	}
	if status := exit.Sys().(syscall.WaitStatus); !status.Signaled() || status.Signal() != syscall.SIGPIPE {
		t.Errorf("the command ended with %v, want SIGPIPE", exit)
	}
}

// TestLibrariesLog: what libraries have to say is in the gateway's log, and is not
// without bound.
func TestLibrariesLog(t *testing.T) {
	was, writer, flags := slog.Default(), log.Writer(), log.Flags()
	defer func() {
		slog.SetDefault(was)
		log.SetOutput(writer)
		log.SetFlags(flags)
	}()
	var text bytes.Buffer
	adoptLibraries(slog.New(slog.NewTextHandler(&text, nil)))
	for range 1000 {
		grpclog.Error("transport trouble")
	}
	grpclog.Info("nobody wants to know")
	log.Print("by the old package")
	if n := strings.Count(text.String(), "transport trouble"); n < 50 || n > 200 {
		t.Errorf("gRPC has %d lines of 1,000", n)
	}
	if !strings.Contains(text.String(), "by the old package") || strings.Contains(text.String(), "nobody") {
		t.Errorf("the log is\n%.1000s", text.String())
	}
}
