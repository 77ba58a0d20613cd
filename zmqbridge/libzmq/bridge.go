//go:build cgo && libzmq

// Package libzmq is the ZeroMQ bridge on libzmq, by pebbe/zmq4: the second engine.
// Importing it makes it known to zmqbridge.Open.
package libzmq

import (
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	zmq "github.com/pebbe/zmq4/draft"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/internal/unixsocket"
	"github.com/zioflow/gateway/zmqbridge"
)

// Options are the bridge's.
type Options struct {
	zmqbridge.Options

	// disconnectToken is what libzmq delivers in the place of a peer that has gone. As
	// no peer knows it, it marks what else only libzmq says.
	disconnectToken string
}

func init() { zmqbridge.Register("libzmq", Open) }

// Bridge is a set of bound endpoints.
type Bridge struct {
	context   *zmq.Context
	guard     *guard // nil without CURVE
	endpoints []*endpoint
	locks     []*unixsocket.Lock
	servers   []string
	routers   []string
}

// Open binds the addresses and serves the peers that connect to them, until
// Close.
func Open(b *broker.Broker, options zmqbridge.Options) (_ zmqbridge.Bridge, err error) {
	o := Options{Options: options}
	o.disconnectToken = "gone:" + rand.Text() // so that no peer can send it
	keepMemory()
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
	if br.guard, err = newGuard(context, o); err != nil {
		return nil, err
	}
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
	br.guard.start()
	return br, nil
}

// bind makes one socket bound to all the addresses and starts to serve it.
func (br *Bridge) bind(b *broker.Broker, kind zmq.Type, addresses []string, o Options) ([]string, error) {
	s, err := newSocket(br.context, kind, o)
	if err != nil {
		return nil, err
	}
	if err := br.guard.watch(s, s.front()); err != nil {
		return nil, errors.Join(err, s.Close())
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
	if err := zmqbridge.CheckAddress(address); err != nil {
		return "", err
	}
	lock, err := zmqbridge.LockPath(address)
	if err != nil {
		return "", err
	}
	if lock != nil {
		br.locks = append(br.locks, lock)
	}
	if err := lock.Clear(); err != nil { // libzmq would remove any file
		return "", err
	}
	// A socket for IPv6 binds IPv4 as well, but under names nobody would write.
	host, _ := zmqbridge.SplitAddress(address)
	if err := s.SetIpv6(host == "*" || strings.Contains(host, ":")); err != nil {
		return "", err
	}
	if err := br.guard.protect(s, s.front(), address); err != nil {
		return "", err
	}
	if err := s.Bind(address); err != nil {
		return "", err
	}
	if err := lock.Restrict(); err != nil {
		return "", err
	}
	return s.GetLastEndpoint()
}

// SetCurveKey implements zmqbridge.Bridge: libzmq's addresses keep the key with which
// they were bound.
func (br *Bridge) SetCurveKey(string) error {
	return errors.New("with libzmq, another CURVE key takes a restart")
}

// Stats implements zmqbridge.Bridge: libzmq does not tell.
func (br *Bridge) Stats() []zmqbridge.Stats { return nil }

// Panics implements zmqbridge.Bridge.
func (br *Bridge) Panics() uint64 { return 0 }

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
	errs = append(errs, br.guard.stop())
	if br.context != nil {
		errs = append(errs, br.context.Term()) // waits for what lingers
	}
	for _, lock := range br.locks {
		errs = append(errs, lock.Release())
	}
	br.endpoints, br.guard, br.context, br.locks = nil, nil, nil, nil
	return errors.Join(errs...)
}
