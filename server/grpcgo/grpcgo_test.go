package grpcgo

import (
	"errors"
	"testing"

	"google.golang.org/grpc"
)

// TestKnowsItsGRPC: this package calls a function inside gRPC, by its name and with
// parameters that nobody checks, and takes meanings from when gRPC calls a buffer's
// methods. With another version, look whether http2Server.closeStream and Drain still have them, and there is its loopyWriterDone,
// and whether what is said here of it and of buffers is still so; then set Version.
func TestKnowsItsGRPC(t *testing.T) {
	if grpc.Version != Version {
		t.Errorf("gRPC is %s, this was written for %s", grpc.Version, Version)
	}
}

func TestAbortNeedsAStream(t *testing.T) {
	if err := Abort(t.Context()); !errors.Is(err, ErrNoStream) {
		t.Errorf("a context without a stream was taken: %v", err)
	}
}
