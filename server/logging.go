package server

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/logging"
	"google.golang.org/grpc/codes"

	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/internal/logs"
	"github.com/zioflow/gateway/internal/text"
)

// notable are the methods whose calls are of interest to an operator. All others
// are logged at debug: there are many of them, and what comes of a flow the
// broker logs.
var notable = map[string]bool{
	gatewayv1.HandlerService_Listen_FullMethodName:    true,
	gatewayv1.AdminService_EndFlow_FullMethodName:     true,
	gatewayv1.AdminService_AddRoute_FullMethodName:    true,
	gatewayv1.AdminService_RemoveRoute_FullMethodName: true,
	gatewayv1.AdminService_Drain_FullMethodName:       true,
	gatewayv1.AdminService_Undrain_FullMethodName:     true,
	gatewayv1.AdminService_SetLogLevel_FullMethodName: true,
	gatewayv1.AdminService_Reload_FullMethodName:      true,

	gatewayv1.AdminService_DisconnectPeer_FullMethodName: true,
}

// logCalls logs a line for every call that is over: method, code, duration and
// peer, and the error if there is one.
func logCalls(log *logs.Sampler) interceptor {
	options := []logging.Option{
		logging.WithLogOnEvents(logging.FinishCall),
		logging.WithLevels(levelOf),
		logging.WithDurationField(func(d time.Duration) logging.Fields { return logging.Fields{"duration", d} }),
		logging.WithFieldsFromContextAndCallMeta(func(ctx context.Context, call interceptors.CallMeta) logging.Fields {
			peer := peerInfo(ctx)
			return logging.Fields{"method", call.FullMethod(), "peer", peer, "agent", peer.Agent}
		}),
	}
	to := logging.LoggerFunc(func(ctx context.Context, level logging.Level, _ string, fields ...any) {
		logCall(ctx, log, slog.Level(level), fields)
	})
	return interceptor{
		unary:  logging.UnaryServerInterceptor(to, options...),
		stream: perCall(logging.StreamServerInterceptor(to, options...)),
	}
}

// levelOf is how a status is logged, unless its method says less. Who is denied
// something has a line of its own.
func levelOf(code codes.Code) logging.Level {
	switch code {
	case codes.Internal, codes.Unknown, codes.DataLoss:
		return logging.LevelWarn
	default:
		return logging.LevelInfo
	}
}

// logCall writes the line, with the names that the rest of the log has.
func logCall(ctx context.Context, log *logs.Sampler, level slog.Level, fields logging.Fields) {
	var method, code, failure slog.Attr
	var rest []any
	for i := fields.Iterator(); i.Next(); {
		switch name, value := i.At(); name {
		case "method":
			method = slog.String(name, text.Name(fmt.Sprint(value)))
		case "grpc.code":
			code = slog.Any("code", value)
		case "grpc.error":
			failure = slog.Any("error", value)
		case "duration", "peer":
			rest = append(rest, slog.Any(name, value))
		case "agent":
			if value != "" {
				rest = append(rest, slog.Any(name, value))
			}
		}
	}
	if level == slog.LevelInfo && !notable[method.Value.String()] {
		level = slog.LevelDebug
	}
	if !log.Enabled(ctx, level) {
		return
	}
	attributes := append([]any{method, code}, rest...)
	if failure.Key != "" {
		attributes = append(attributes, failure)
	}
	kind := "call_ended"
	if level > slog.LevelInfo {
		kind = "call_broke"
	}
	log.Log(ctx, level, kind, peerInfo(ctx).Who(), "call ended", attributes...)
}

// say logs a line about a call, with its peer, unless that has caused too many.
func say(ctx context.Context, log *logs.Sampler, level slog.Level, kind, message string, arguments ...any) {
	peer := peerInfo(ctx)
	log.Log(ctx, level, kind, peer.Who(), message, append([]any{"peer", peer}, arguments...)...)
}
