package server

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/zioflow/gateway/internal/text"
)

// Bounds of a status. With its details in base64, which repeat the message, it is
// less than 7 KiB of headers: clients take 8 KiB of them if nobody tells them
// otherwise, and make INTERNAL of a status that is longer.
const (
	maxStatusMessage = 2 << 10 // with what is not ASCII percent-encoded
	maxStatusDetails = 2 << 10
)

// boundStatuses has no caller told more than a default client takes, whatever the
// words come from.
func boundStatuses() interceptor {
	return interceptor{
		unary: func(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
			response, err := handler(ctx, request)
			return response, boundStatus(err)
		},
		stream: func(service any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
			return boundStatus(handler(service, stream))
		},
	}
}

// boundStatus cuts a status's message, and leaves out the details that come after
// too many.
func boundStatus(err error) error {
	if err == nil {
		return nil
	}
	s := status.Convert(err).Proto()
	message := text.CutBy(text.Detail(s.GetMessage()), maxStatusMessage, percentEncoded)
	fits, size := 0, 0
	for _, detail := range s.GetDetails() {
		if size += proto.Size(detail); size > maxStatusDetails {
			break
		}
		fits++
	}
	if message == s.GetMessage() && fits == len(s.GetDetails()) {
		return err
	}
	s.Message, s.Details = message, s.GetDetails()[:fits]
	return status.FromProto(s).Err()
}

// percentEncoded is how many bytes a character has in the header grpc-message.
func percentEncoded(r rune, width int) int {
	if r >= ' ' && r <= '~' && r != '%' {
		return width
	}
	return 3 * width
}
