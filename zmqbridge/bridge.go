// Package zmqbridge attaches ZeroMQ peers to the broker: CLIENT sockets through
// SERVER endpoints, DEALER sockets through ROUTER endpoints.
package zmqbridge

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	zmq "github.com/pebbe/zmq4/draft"

	"github.com/zioflow/gateway/broker"
)

// Options configure a bridge. Zero values, but for the addresses, stand for
// what DefaultOptions has.
type Options struct {
	// Servers and Routers are the addresses to bind, such as
	// "tcp://127.0.0.1:5555", "tcp://[::1]:*" or "ipc:///run/zio/flow".
	Servers, Routers []string
	// MaxMessage is the largest payload, in bytes. A message a good deal larger
	// costs its sender the connection.
	MaxMessage int
	// HighWater is how many messages may wait for one peer.
	HighWater int
	// Stall is how long a peer may leave its queue full before its flow ends.
	Stall time.Duration
	// Linger is how long Close waits for the last messages to go out.
	Linger time.Duration
	// Handshake is how long a connection may take to become one.
	Handshake time.Duration
	// Heartbeat is how often a silent peer is asked whether it is there,
	// HeartbeatTimeout how long it may take to answer.
	Heartbeat, HeartbeatTimeout time.Duration
	// Log takes the bridge's log.
	Log *slog.Logger

	goneMark string // what libzmq delivers in the place of a peer that has gone
}

// DefaultOptions are the options for a broker's limits, without addresses.
func DefaultOptions(limits broker.Options) Options {
	return Options{
		MaxMessage:       limits.MaxMessage,
		HighWater:        limits.OutboxLimit(),
		Stall:            5 * time.Second,
		Linger:           2 * time.Second,
		Handshake:        5 * time.Second,
		Heartbeat:        2 * time.Second,
		HeartbeatTimeout: 6 * time.Second,
		Log:              slog.New(slog.DiscardHandler),
	}
}

// Bridge is a set of bound endpoints.
type Bridge struct {
	context   *zmq.Context
	endpoints []*endpoint
	locks     []*pathLock
	servers   []string
	routers   []string
}

// Open binds the addresses and serves the peers that connect to them, until
// Close.
func Open(b *broker.Broker, o Options) (_ *Bridge, err error) {
	o.goneMark = "gone:" + rand.Text() // so that no peer can send it
	context, err := zmq.NewContext()
	if err != nil {
		return nil, err
	}
	br := &Bridge{context: context}
	defer func() {
		if err != nil {
			err = errors.Join(err, br.Close())
		}
	}()
	if len(o.Servers) > 0 {
		if br.servers, err = br.bind(b, zmq.SERVER, o.Servers, o); err != nil {
			return nil, err
		}
	}
	if len(o.Routers) > 0 {
		if br.routers, err = br.bind(b, zmq.ROUTER, o.Routers, o); err != nil {
			return nil, err
		}
	}
	return br, nil
}

// bind makes one socket bound to all the addresses and starts to serve it.
func (br *Bridge) bind(b *broker.Broker, kind zmq.Type, addresses []string, o Options) ([]string, error) {
	s, err := newSocket(br.context, kind, o)
	if err != nil {
		return nil, err
	}
	bound := make([]string, 0, len(addresses))
	for _, address := range addresses {
		actual, err := br.bindOne(s, address)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("bind %s: %w", address, err), s.Close())
		}
		bound = append(bound, actual)
	}
	e, err := serve(b, s, o)
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	br.endpoints = append(br.endpoints, e)
	return bound, nil
}

func (br *Bridge) bindOne(s *socket, address string) (string, error) {
	lock, err := lockPath(address)
	if err != nil {
		return "", err
	}
	if lock != nil {
		br.locks = append(br.locks, lock)
	}
	// A socket for IPv6 binds IPv4 as well, but under names nobody would write.
	host, _ := SplitAddress(address)
	if err := s.SetIpv6(host == "*" || strings.Contains(host, ":")); err != nil {
		return "", err
	}
	if err := s.Bind(address); err != nil {
		return "", err
	}
	if err := lock.restrict(); err != nil {
		return "", err
	}
	return s.GetLastEndpoint()
}

// SplitAddress answers the host of a tcp address, without brackets, which may be
// "*" for all of them. It answers false for any other transport.
func SplitAddress(address string) (host string, tcp bool) {
	rest, tcp := strings.CutPrefix(address, "tcp://")
	if !tcp {
		return "", false
	}
	host = rest[:max(0, strings.LastIndexByte(rest, ':'))]
	return strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"), true
}

// Servers are the bound addresses of the SERVER endpoint, with the real ports.
func (br *Bridge) Servers() []string { return br.servers }

// Routers are the bound addresses of the ROUTER endpoint, with the real ports.
func (br *Bridge) Routers() []string { return br.routers }

// Close stops reading, sends what is queued for as long as Linger allows, and
// closes the sockets. The broker must not have active flows any more.
func (br *Bridge) Close() error {
	var errs []error
	for _, e := range br.endpoints {
		e.stop()
		errs = append(errs, e.close())
	}
	if br.context != nil {
		errs = append(errs, br.context.Term()) // waits for what lingers
	}
	for _, lock := range br.locks {
		errs = append(errs, lock.release())
	}
	br.endpoints, br.context, br.locks = nil, nil, nil
	return errors.Join(errs...)
}
