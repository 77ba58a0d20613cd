package server

import (
	"context"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/zioflow/gateway/server/contract"
)

// RateLimits bound how many calls may begin in a second; 0 for any number. As
// many may begin at once. Health checks do not count.
type RateLimits struct {
	// Total is for all callers together, Peer for each host.
	Total, Peer float64
}

// maxHosts bounds the hosts that are told apart. Beyond it those that call
// seldom are forgotten, and if there are none, new ones share one limit.
const maxHosts = 4096

// limiter keeps RateLimits. Its methods may be called concurrently.
type limiter struct {
	mu     sync.Mutex
	limits RateLimits               // guarded by mu
	total  *rate.Limiter            // guarded by mu
	hosts  map[string]*rate.Limiter // guarded by mu
	others *rate.Limiter            // guarded by mu; of hosts beyond maxHosts
}

func newLimiter(limits RateLimits) *limiter {
	l := &limiter{}
	l.set(limits)
	return l
}

// set replaces the limits, if they are others; all callers begin anew then.
func (l *limiter) set(limits RateLimits) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.hosts != nil && l.limits == limits {
		return
	}
	l.limits = limits
	l.total, l.others = newRate(limits.Total), newRate(limits.Peer)
	l.hosts = map[string]*rate.Limiter{}
}

// newRate allows in one burst what it allows in a second.
func newRate(perSecond float64) *rate.Limiter {
	if perSecond <= 0 {
		return rate.NewLimiter(rate.Inf, 0)
	}
	return rate.NewLimiter(rate.Limit(perSecond), max(1, int(perSecond)))
}

// begin returns how long a call from the host would have to wait; 0 if it may
// begin, and counts.
func (l *limiter) begin(host string, now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.limits.Peer > 0 {
		if wait := take(l.host(host, now), now); wait > 0 {
			return wait
		}
	}
	return take(l.total, now)
}

// take returns how long until there is something to take; 0 if it took one.
func take(l *rate.Limiter, now time.Time) time.Duration {
	r := l.ReserveN(now, 1)
	wait := r.DelayFrom(now)
	if wait > 0 {
		r.CancelAt(now)
	}
	return wait
}

// host is the host's own limiter. l.mu is held.
func (l *limiter) host(name string, now time.Time) *rate.Limiter {
	if own := l.hosts[name]; own != nil {
		return own
	}
	if len(l.hosts) >= maxHosts {
		for other, limit := range l.hosts {
			if limit.TokensAt(now) >= float64(limit.Burst()) {
				delete(l.hosts, other)
			}
		}
	}
	if len(l.hosts) >= maxHosts {
		return l.others
	}
	own := newRate(l.limits.Peer)
	l.hosts[name] = own
	return own
}

// check is the error of a call that may not begin.
func (l *limiter) check(ctx context.Context, fullMethod string, c *counters) error {
	if isOf(fullMethod, healthpb.Health_ServiceDesc.ServiceName) {
		return nil
	}
	wait := l.begin(hostOf(ctx), time.Now())
	if wait == 0 {
		return nil
	}
	c.limited.Inc()
	return contract.WithDetails(
		status.New(codes.ResourceExhausted, "too many calls begin in a second"),
		&errdetails.ErrorInfo{Domain: contract.ErrorDomain, Reason: "RATE_LIMITED"},
		&errdetails.RetryInfo{RetryDelay: durationpb.New(wait)})
}

// limitCalls refuses calls beyond the limits, and says when to try again: that
// is what go-grpc-middleware's own interceptor for it cannot.
func limitCalls(l *limiter, c *counters) interceptor {
	return checkCalls(func(ctx context.Context, fullMethod string) error { return l.check(ctx, fullMethod, c) })
}
