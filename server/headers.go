package server

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/zioflow/gateway/server/contract"
	"github.com/zioflow/gateway/server/grpcgo"
)

// maxHeaders is how many bytes of headers a call may have: names, values, and 32 for
// each. gRPC closes the connection for a single value beyond its own limit, and all
// calls on it, so that is much larger.
const (
	maxHeaders     = 16 << 10
	maxHeaderBlock = 128 << 10
)

// checkHeaders refuses calls with more headers than there may be.
func checkHeaders(ctx context.Context, _ string) error {
	headers, _ := metadata.FromIncomingContext(ctx)
	size := 0
	for name, values := range headers {
		for _, value := range values {
			size += len(name) + len(value) + 32
		}
	}
	if size > maxHeaders {
		return status.Errorf(codes.ResourceExhausted, "the call's headers have %d bytes, and %d are allowed", size, maxHeaders)
	}
	return nil
}

// checkCompression refuses calls whose messages are compressed: how much a message is
// would be known only when it has been taken in.
func checkCompression(ctx context.Context, _ string) error {
	name, ok := grpcgo.Compression(ctx)
	if !ok || name == "" || name == "identity" {
		return nil
	}
	return contract.WithDetails(status.New(codes.Unimplemented, "the gateway takes no compressed messages: call without compression "+
		"(grpc-encoding is not identity; in grpcio, grpc.Compression.NoCompression)"), denialInfo("compressed"))
}
