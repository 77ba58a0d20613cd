package server

import (
	grpcprometheus "github.com/grpc-ecosystem/go-grpc-middleware/providers/prometheus"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"

	"github.com/zioflow/gateway/internal/crowd"
	"github.com/zioflow/gateway/server/conns"
)

// counters are what the server itself counts. They may be used concurrently.
type counters struct {
	calls   *grpcprometheus.ServerMetrics
	limited prometheus.Counter
	unknown prometheus.Counter
	panics  prometheus.Counter
	foreign *prometheus.CounterVec // connections, by what they speak
	cut     *prometheus.CounterVec // connections, by cause
}

// newCounters registers them, unless there is nowhere to register.
func newCounters(registry prometheus.Registerer) *counters {
	c := &counters{
		calls: grpcprometheus.NewServerMetrics(),
		limited: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "zio_gateway_rate_limited_calls_total",
			Help: "gRPC calls refused because too many had begun.",
		}),
		unknown: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "zio_gateway_unknown_calls_total",
			Help: "gRPC calls of methods that there are not.",
		}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "zio_gateway_panics_total",
			Help: "gRPC calls that failed because of a mistake in the gateway.",
		}),
		foreign: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "zio_gateway_grpc_foreign_connections_total",
			Help: "Connections to the gRPC address that were cut because they do not speak gRPC, by what they speak.",
		}, []string{"protocol"}),
	}
	c.cut = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "zio_gateway_grpc_connections_cut_total",
		Help: "gRPC connections that were cut, and calls reset before they were seen, by cause.",
	}, []string{"cause"})
	for _, cause := range conns.Causes() {
		c.cut.WithLabelValues(cause)
	}
	c.foreign.WithLabelValues("zmtp")
	if registry != nil {
		registry.MustRegister(c.calls, c.limited, c.unknown, c.panics, c.foreign, c.cut)
	}
	return c
}

func (c *counters) cutConnection(cause string) { c.cut.WithLabelValues(cause).Inc() }

// watchCrowd has the crowd's connections counted as well, unless there is nowhere to register.
func watchCrowd(c *crowd.Crowd, registry prometheus.Registerer) {
	if registry == nil {
		return
	}
	const name, help = "zio_gateway_grpc_connections", "gRPC connections, by whether a caller of theirs was let in."
	for known, count := range map[string]func() int{
		"no":  func() int { strangers, _, _ := c.Count(); return strangers },
		"yes": func() int { _, known, _ := c.Count(); return known },
	} {
		registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: name, Help: help, ConstLabels: prometheus.Labels{"known": known},
		}, func() float64 { return float64(count()) }))
	}
	registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "zio_gateway_grpc_connections_crowded_total",
		Help: "gRPC connections that were closed to make room for others, or for want of room.",
	}, func() float64 { _, _, closed := c.Count(); return float64(closed) }))
}

// countCalls counts calls by method and status. The messages of flows are not
// counted here but by the broker.
func countCalls(c *counters) interceptor {
	all := c.calls.StreamServerInterceptor()
	flows := perCall(all)
	return interceptor{
		unary: c.calls.UnaryServerInterceptor(),
		stream: func(service any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
			if isFlow(info.FullMethod) {
				return flows(service, stream, info, handler)
			}
			return all(service, stream, info, handler)
		},
	}
}
