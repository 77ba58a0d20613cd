package front

import (
	"errors"
	"fmt"
	"net"
	"syscall"
)

// withOccupant is an error of binding an address with who has it, where that can be seen.
func withOccupant(err error) error {
	op, is := errors.AsType[*net.OpError](err)
	if !is || !errors.Is(err, syscall.EADDRINUSE) {
		return err
	}
	address, is := op.Addr.(*net.TCPAddr)
	if !is {
		return err
	}
	switch pid, name := listenerAt(address.Port); {
	case pid == 0:
		return err
	case pid == syscall.Getpid():
		return fmt.Errorf("%w: this gateway listens there already, for another of its addresses", err)
	default:
		return fmt.Errorf("%w: process %d (%.40s) listens there", err, pid, name)
	}
}
