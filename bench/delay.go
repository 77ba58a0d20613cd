package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/zioflow/gateway/internal/execfile"
)

// delayedRelay stands before an address and passes on what comes, both ways, a while later.
type delayedRelay struct {
	listener net.Listener
	to       string
	delay    time.Duration
	running  sync.WaitGroup

	mu    sync.Mutex
	conns []net.Conn // guarded by mu
	over  bool       // guarded by mu
}

// delayBefore listens at an address, for what goes to another.
func delayBefore(to, at string, delay time.Duration) (*delayedRelay, error) {
	l, err := net.Listen("tcp", at)
	if err != nil {
		return nil, err
	}
	d := &delayedRelay{listener: l, to: to, delay: delay}
	d.running.Go(d.serve)
	return d, nil
}

func (d *delayedRelay) serve() {
	for {
		conn, err := d.listener.Accept()
		if err != nil {
			return
		}
		d.running.Go(func() { d.pass(conn) })
	}
}

// pass passes a connection on until either side ends it.
func (d *delayedRelay) pass(conn net.Conn) {
	on, err := net.Dial("tcp", d.to)
	if err != nil {
		_ = conn.Close()
		return
	}
	if !d.keep(conn, on) {
		return
	}
	var ways sync.WaitGroup
	for _, way := range [][2]net.Conn{{on, conn}, {conn, on}} {
		ways.Go(func() {
			d.copy(way[0], way[1])
			_, _ = conn.Close(), on.Close()
		})
	}
	ways.Wait()
}

// keep has stop close the connections; false if it was called already.
func (d *delayedRelay) keep(conns ...net.Conn) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.over {
		for _, c := range conns {
			_ = c.Close()
		}
		return false
	}
	d.conns = append(d.conns, conns...)
	return true
}

// copy writes each piece that it reads when the delay is over. What is under way is bounded
// by the number of pieces.
func (d *delayedRelay) copy(to, from net.Conn) {
	type piece struct {
		bytes []byte
		due   time.Time
	}
	pieces := make(chan piece, 1024)
	d.running.Go(func() {
		defer func() {
			for range pieces { // what cannot be written
			}
		}()
		for p := range pieces {
			time.Sleep(time.Until(p.due))
			if _, err := to.Write(p.bytes); err != nil {
				_ = from.Close()
				return
			}
		}
		_ = to.Close()
	})
	defer close(pieces)
	for {
		b := make([]byte, 32<<10)
		n, err := from.Read(b)
		if err != nil {
			return
		}
		pieces <- piece{b[:n], time.Now().Add(d.delay)}
	}
}

func (d *delayedRelay) stop() error {
	err := d.listener.Close()
	d.mu.Lock()
	d.over = true
	for _, c := range d.conns {
		_ = c.Close()
	}
	d.mu.Unlock()
	d.running.Wait()
	return err
}

// echo is the other end of a delayedRelay at which what comes goes back, so that a round
// trip can be timed with nothing else in it.
type echo struct {
	listener net.Listener
	between  *delayedRelay
	conn     net.Conn // through it
	running  sync.WaitGroup
}

func newEcho(delay time.Duration) (_ *echo, err error) {
	e := new(echo)
	if e.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	e.running.Go(func() {
		if conn, err := e.listener.Accept(); err == nil {
			_, _ = io.Copy(conn, conn)
			_ = conn.Close()
		}
	})
	if e.between, err = delayBefore(e.listener.Addr().String(), "127.0.0.1:0", delay); err == nil {
		e.conn, err = net.Dial("tcp", e.between.listener.Addr().String())
	}
	if err != nil {
		err = errors.Join(err, e.stop())
	}
	return e, err
}

// roundTrip is how long a byte takes there and back.
func (e *echo) roundTrip() (time.Duration, error) {
	since := time.Now()
	if _, err := e.conn.Write([]byte{1}); err != nil {
		return 0, err
	}
	_, err := e.conn.Read(make([]byte, 1))
	return time.Since(since), err
}

func (e *echo) stop() (err error) {
	if e.conn != nil {
		_ = e.conn.Close()
	}
	if e.between != nil {
		err = e.between.stop()
	}
	err = errors.Join(err, e.listener.Close())
	e.running.Wait()
	return err
}

// knowing returns a program that is the gateway on a machine where a host's name stands for
// an address: a script in dir. It needs Linux, and root or the right to make namespaces.
func knowing(gateway, dir, host, address string) (string, error) {
	hosts, script := filepath.Join(dir, "hosts-"+address), filepath.Join(dir, "gateway-"+address)
	if err := os.WriteFile(hosts, fmt.Appendf(nil, "127.0.0.1 localhost\n%s %s\n", address, host), 0o600); err != nil {
		return "", err
	}
	user := ""
	if os.Getuid() != 0 {
		user = "--map-root-user "
	}
	text := fmt.Sprintf("#!/bin/sh\nexec unshare %s--mount sh -c 'mount --bind \"$0\" /etc/hosts && exec \"$@\"' %q %q \"$@\"\n", user, hosts, gateway)
	return script, execfile.Write(script, text)
}
