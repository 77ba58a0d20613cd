// Package admin is AdminService: what operators see of the broker and do to it.
package admin

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/routes"
	"github.com/zioflow/gateway/broker/transport"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/server/contract"
	"github.com/zioflow/gateway/zre/nodes"
)

// Process is the program around the server, as far as an operator can see and
// steer it over gRPC. Its methods may be called concurrently. Their errors say
// why the program is in no state to do it; those that are gRPC statuses are
// passed on as they are.
type Process interface {
	// Status describes it as it is now.
	Status() ProcessStatus
	// Drain refuses new flows and has health checks say so; Undrain takes them
	// again, unless the program is about to exit.
	Drain()
	Undrain() error
	// SetLogLevel returns the level before.
	SetLogLevel(slog.Level) slog.Level
	// Reload puts the configuration to use anew, all or nothing.
	Reload() (Reloaded, error)
}

// ProcessStatus is what the broker does not know of the program.
type ProcessStatus struct {
	Version             string
	Started, Configured time.Time
	Draining            bool
	LogLevel            slog.Level
	Endpoints           []Endpoint
	// Node is the name under which others find it; empty without discovery.
	Node string
	// Cluster is the cluster that it is a node of; nil without one.
	Cluster *Cluster
}

// Endpoint is an address that the gateway serves. The words are those of the
// contract.
type Endpoint struct{ Transport, Address, Security string }

// Reloaded tells what a Reload has changed, a line each, and which options
// differ but need a restart.
type Reloaded struct{ Changes, NeedRestart []string }

// Service implements gatewayv1.AdminServiceServer.
type Service struct {
	gatewayv1.UnimplementedAdminServiceServer
	broker  *broker.Broker
	log     *slog.Logger
	process Process
	routes  RouteOptions
	nodes   *nodes.Table
	caller  func(context.Context) transport.PeerInfo
	stop    context.Context // ends when watchers have to go
	shown   shownFlows

	filterCost uint64 // what a filter may cost in one call of ListFlows
}

// Options are what a Service needs besides a broker.
type Options struct {
	// Process is what it steers.
	Process Process
	// Routes makes the routes that operators add.
	Routes RouteOptions
	// Nodes is what discovery knows of others; it may be empty.
	Nodes *nodes.Table
	// Caller is who makes a call, for the log.
	Caller func(context.Context) transport.PeerInfo
	// Log takes what operators did.
	Log *slog.Logger
}

// New serves until stop ends: watchers have to go then.
func New(stop context.Context, b *broker.Broker, o Options) *Service {
	return &Service{
		broker: b, log: o.Log, process: o.Process, routes: o.Routes, nodes: o.Nodes, caller: o.Caller, stop: stop,
		filterCost: listingCost,
	}
}

// GetStatus sums the gateway up.
func (s *Service) GetStatus(context.Context, *gatewayv1.GetStatusRequest) (*gatewayv1.GetStatusResponse, error) {
	stats, process := s.broker.Stats(), s.process.Status()
	response := &gatewayv1.GetStatusResponse{
		Version: process.Version, Started: timeOf(process.Started), Configured: timeOf(process.Configured),
		Draining:     process.Draining || stats.Draining,
		PendingFlows: uint64(stats.Pending), ActiveFlows: uint64(stats.Active), HalfClosedFlows: uint64(stats.HalfClosed),
		EndedFlows: make(map[string]uint64, len(stats.Ended)),
		Messages:   stats.Data.Messages, Bytes: stats.Data.Bytes,
		Listeners: uint64(stats.Listeners), QueuedBytes: uint64(max(0, stats.QueuedBytes)),
		Limits: limitsOf(s.broker.Options()), LogLevel: levelName(process.LogLevel),
		Node: process.Node, Nodes: uint64(s.nodes.Len()), Cluster: clusterOf(process.Cluster),
	}
	for reason, n := range stats.Ended {
		response.EndedFlows[reason.String()] = n
	}
	for _, n := range stats.Peers {
		response.Peers += uint64(n)
	}
	for _, e := range process.Endpoints {
		response.Endpoints = append(response.Endpoints,
			&gatewayv1.Endpoint{Transport: e.Transport, Address: e.Address, Security: e.Security})
	}
	return response, nil
}

func limitsOf(o broker.Options) *gatewayv1.Limits {
	return &gatewayv1.Limits{
		MaxCredit: o.MaxCredit, MaxMessage: int64(o.MaxMessage),
		MaxFlows: int64(o.MaxFlows), MaxPending: int64(o.MaxPending),
		MaxBytes: o.MaxBytes, MaxFlowBytes: o.MaxFlowBytes,
		PendingTimeout: durationpb.New(o.PendingTimeout), EotTimeout: durationpb.New(o.EOTTimeout),
		IdleTimeout: durationpb.New(o.IdleTimeout), HandlerWait: durationpb.New(o.HandlerWait),
	}
}

// Drain refuses new flows.
func (s *Service) Drain(ctx context.Context, _ *gatewayv1.DrainRequest) (*gatewayv1.DrainResponse, error) {
	s.tellAsked(ctx, "drain")
	s.process.Drain()
	return &gatewayv1.DrainResponse{Flows: uint64(s.broker.Live()), Node: s.ownName()}, nil
}

// Undrain takes new flows again.
func (s *Service) Undrain(ctx context.Context, _ *gatewayv1.UndrainRequest) (*gatewayv1.UndrainResponse, error) {
	s.tellAsked(ctx, "undrain")
	if err := s.process.Undrain(); err != nil {
		return nil, notNow("DRAINING", "gateway", err)
	}
	return &gatewayv1.UndrainResponse{}, nil
}

// levels are the log levels by the words of the contract.
var levels = map[string]slog.Level{
	"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
}

func levelName(l slog.Level) string { return strings.ToLower(l.String()) }

// SetLogLevel changes what is logged.
func (s *Service) SetLogLevel(ctx context.Context, request *gatewayv1.SetLogLevelRequest) (*gatewayv1.SetLogLevelResponse, error) {
	level, known := levels[request.GetLevel()]
	if !known {
		return nil, contract.BadField("level", "is %q, want debug, info, warn or error", request.GetLevel())
	}
	s.tellAsked(ctx, "log level", slog.String("level", levelName(level)))
	return &gatewayv1.SetLogLevelResponse{Previous: levelName(s.process.SetLogLevel(level)), Node: s.ownName()}, nil
}

// Reload puts the configuration to use anew.
func (s *Service) Reload(ctx context.Context, _ *gatewayv1.ReloadRequest) (*gatewayv1.ReloadResponse, error) {
	s.tellAsked(ctx, "reload")
	reloaded, err := s.process.Reload()
	if err != nil {
		return nil, notNow("CONFIGURATION", "gateway", err)
	}
	return &gatewayv1.ReloadResponse{Changes: reloaded.Changes, NeedRestart: reloaded.NeedRestart, Node: s.ownName()}, nil
}

// tellAsked logs what another node has asked for, and on whose behalf. What is asked of the
// gateway itself is in the log as a call.
func (s *Service) tellAsked(ctx context.Context, what string, more ...slog.Attr) {
	if by := s.caller(ctx); by.Node != "" {
		s.log.LogAttrs(ctx, slog.LevelInfo, "asked by another node", append([]slog.Attr{slog.String("for", what), slog.Any("by", by)}, more...)...)
	}
}

// notNow is FAILED_PRECONDITION with the cause, unless that is a status already.
func notNow(kind, subject string, cause error) error {
	if s, is := status.FromError(cause); is {
		return s.Err()
	}
	return contract.WithDetails(status.New(codes.FailedPrecondition, cause.Error()), &errdetails.PreconditionFailure{
		Violations: []*errdetails.PreconditionFailure_Violation{{Type: kind, Subject: subject, Description: cause.Error()}},
	})
}

// ownName is the gateway's own as a node; empty without a cluster.
func (s *Service) ownName() string {
	if c := s.process.Status().Cluster; c != nil {
		return c.Self.Name
	}
	return ""
}

// listingCost bounds what a filter costs over all flows that one call of ListFlows
// looks at, in units of some 0.2 µs: some two seconds of one processor. Twice as many
// flows as there may be by default, with labels of 200 bytes and a filter that reads
// them, stay below it.
const listingCost = 10_000_000

// RouteOptions say which routes an operator may add over gRPC.
type RouteOptions struct {
	// Maker makes them.
	Maker routes.Maker
	// AllowExec allows those that start commands: whoever may add such a route may
	// run any program as the gateway's user.
	AllowExec bool
}
