package server

import (
	"log/slog"
	"time"

	"github.com/zioflow/gateway/broker"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// Process is the program around the server, as far as an operator can see and
// steer it over gRPC. Its methods may be called concurrently.
type Process interface {
	// Status describes it as it is now.
	Status() ProcessStatus
	// Drain refuses new flows and has health checks say so; Undrain takes them
	// again.
	Drain()
	Undrain()
	// SetLogLevel answers the level before.
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
}

// Endpoint is an address that the gateway serves. The words are those of the
// contract.
type Endpoint struct{ Transport, Address, Security string }

// Reloaded tells what a Reload has changed, a line each, and which options
// differ but need a restart.
type Reloaded struct{ Changes, NeedRestart []string }

// adminService implements gatewayv1.AdminServiceServer.
type adminService struct {
	gatewayv1.UnimplementedAdminServiceServer
	broker  *broker.Broker
	process Process
	routes  RouteOptions
}
