package zmqbridge

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"

	"github.com/zioflow/gateway/access"
	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/internal/logs"
	"github.com/zioflow/gateway/zmtp"
)

// bridge is a Bridge that speaks ZMTP itself.
type bridge struct {
	hub
	options   Options
	endpoints []*endpoint
	servers   []string
	routers   []string
	stopped   chan struct{} // nil unless all addresses were bound
	trimmer   sync.WaitGroup
	closing   sync.Once
	closed    error // of Close; set by closing
}

func openZMTP(b *broker.Broker, o Options) (_ Bridge, err error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Sampler == nil {
		o.Sampler = logs.NewSampler(o.Log, logs.Options{})
	}
	br := &bridge{hub: hub{broker: b, sampler: o.Sampler}, options: o}
	defer func() {
		if err != nil {
			err = errors.Join(err, br.Close())
		}
	}()
	if o.CurveKey != "" {
		if err := br.setKey(o.CurveKey); err != nil {
			return nil, err
		}
	}
	if br.servers, err = br.bind(zmtp.Server, o.Servers, o.ServerSockets); err != nil {
		return nil, err
	}
	if br.routers, err = br.bind(zmtp.Router, o.Routers, o.RouterSockets); err != nil {
		return nil, err
	}
	stopped := make(chan struct{})
	br.stopped = stopped
	br.trimmer.Go(func() { trimSlabs(stopped) })
	for _, e := range br.endpoints {
		e.start()
	}
	return br, nil
}

// bind binds an endpoint to all the addresses; or gives it the sockets, if there are any.
func (b *bridge) bind(kind zmtp.SocketType, addresses []string, sockets []net.Listener) ([]string, error) {
	if len(addresses)+len(sockets) == 0 {
		return nil, nil
	}
	e := newEndpoint(&b.hub, kind, b.options)
	b.endpoints = append(b.endpoints, e)
	var bound []string
	for _, socket := range sockets {
		l := &listener{Listener: socket, bound: AddressOf(socket), local: IsLocal(AddressOf(socket))}
		e.listeners = append(e.listeners, l)
		bound = append(bound, l.bound)
	}
	if len(sockets) > 0 {
		return bound, nil
	}
	for _, address := range addresses {
		l, err := listen(address)
		if err != nil {
			return nil, fmt.Errorf("bind %s: %w", address, err)
		}
		e.listeners = append(e.listeners, l)
		bound = append(bound, l.bound)
	}
	return bound, nil
}

// setKey puts a secret key to use.
func (b *bridge) setKey(secret string) error {
	if b.options.Access == nil {
		return errors.New("CURVE needs to know whose keys to take")
	}
	key, err := access.ParseCurveKey(secret)
	if err != nil {
		return fmt.Errorf("the secret key: %w", err)
	}
	public, err := key.Public()
	if err != nil {
		return fmt.Errorf("the secret key: %w", err)
	}
	config := &zmtp.Config{Type: zmtp.Server, AsServer: true, Curve: &zmtp.CurveKeys{Public: public, Secret: key}}
	if err := config.Validate(); err != nil {
		return fmt.Errorf("the secret key: %w", err)
	}
	b.curve.Store(config)
	return nil
}

// SetCurveKey implements Bridge.
func (b *bridge) SetCurveKey(secret string) error {
	if b.options.CurveKey == "" {
		return errors.New("the addresses were opened without CURVE")
	}
	return b.setKey(secret)
}

// Servers implements Bridge.
func (b *bridge) Servers() []string { return b.servers }

// Routers implements Bridge.
func (b *bridge) Routers() []string { return b.routers }

// Close implements Bridge. Stats goes on describing what has happened.
func (b *bridge) Close() error {
	b.closing.Do(func() { b.closed = b.close() })
	return b.closed
}

func (b *bridge) close() error {
	errs := make([]error, len(b.endpoints))
	done := make(chan struct{}, len(b.endpoints))
	for i, e := range b.endpoints {
		go func() { errs[i] = e.stop(); done <- struct{}{} }()
	}
	for range b.endpoints {
		<-done
	}
	if b.stopped != nil {
		close(b.stopped)
		b.stopped = nil
	}
	b.trimmer.Wait()
	return errors.Join(errs...)
}
