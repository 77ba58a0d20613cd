package server

import (
	"context"
	"errors"
	"strings"

	"buf.build/go/protovalidate"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/internal/text"
	"github.com/zioflow/gateway/server/contract"
)

// maxViolations bounds how many fields a caller is told of that break a rule.
const maxViolations = 8

// validateCalls checks the requests of AdminService and HandlerService by the rules
// that stand in the contract. What carries flows is checked by hand, on its way.
func validateCalls() interceptor {
	ruled := func(fullMethod string) bool {
		return isOf(fullMethod, gatewayv1.AdminService_ServiceDesc.ServiceName) ||
			isOf(fullMethod, gatewayv1.HandlerService_ServiceDesc.ServiceName)
	}
	return interceptor{
		unary: func(ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
			if ruled(info.FullMethod) {
				if err := validate(request); err != nil {
					return nil, err
				}
			}
			return handler(ctx, request)
		},
		stream: func(service any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
			if ruled(info.FullMethod) {
				stream = validatedStream{stream}
			}
			return handler(service, stream)
		},
	}
}

// validatedStream checks what it receives.
type validatedStream struct{ grpc.ServerStream }

// RecvMsg implements grpc.ServerStream.
func (s validatedStream) RecvMsg(m any) error {
	if err := s.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	return validate(m)
}

// validate returns INVALID_ARGUMENT with the fields that break a rule, the first
// maxViolations of them.
func validate(request any) error {
	message, ok := request.(proto.Message)
	if !ok {
		return nil
	}
	err := protovalidate.Validate(message)
	if err == nil {
		return nil
	}
	invalid, ok := errors.AsType[*protovalidate.ValidationError](err)
	if !ok { // a rule that makes no sense, which a test would have shown
		return status.Error(codes.Internal, err.Error())
	}
	bad := &errdetails.BadRequest{}
	var words []string
	for _, violation := range invalid.Violations[:min(len(invalid.Violations), maxViolations)] {
		field := text.Name(protovalidate.FieldPathString(violation.Proto.GetField()))
		problem := text.Name(violation.Proto.GetMessage())
		words = append(words, field+": "+problem)
		bad.FieldViolations = append(bad.FieldViolations,
			&errdetails.BadRequest_FieldViolation{Field: field, Description: problem})
	}
	return contract.WithDetails(status.New(codes.InvalidArgument, strings.Join(words, "; ")), bad)
}
