package zmqbridge

import (
	"errors"
	"net"
	"os"

	"github.com/zioflow/gateway/internal/unixsocket"
)

// listener is one address.
type listener struct {
	net.Listener
	bound  string // as peers may write it
	local  bool   // only this machine can reach it
	lock   *unixsocket.Lock
	folder string // made for an ipc address of the gateway's choice
}

func (l *listener) close() error {
	return errors.Join(l.Close(), l.giveUp())
}

// giveUp gives up what an address has besides its socket.
func (l *listener) giveUp() (err error) {
	if l.lock != nil {
		err = l.lock.Release()
	}
	if l.folder != "" {
		err = errors.Join(err, os.RemoveAll(l.folder))
	}
	return err
}
