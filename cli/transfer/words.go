package transfer

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/zioflow/gateway/cli/exit"
	"github.com/zioflow/gateway/cli/remote"
	zioflow "github.com/zioflow/gateway/clients/go"
	"github.com/zioflow/gateway/zmqbridge/dial"
)

// worded is an error in the words of the command line, on one line.
type worded struct {
	text string
	err  error
}

func (e *worded) Error() string { return e.text }

// Unwrap returns the error as it was.
func (e *worded) Unwrap() error { return e.err }

// inWords says an error of the client for Go in the options' words.
func inWords(err error) error {
	if err == nil {
		return nil
	}
	text := strings.ReplaceAll(remote.InOptions(err.Error()), "\n", "; ")
	return exit.With(codeOf(err), &worded{text, err})
}

// codeOf is with which code a command ends.
func codeOf(err error) exit.Code {
	if code := exit.Of(err); code != exit.Failed {
		return code
	}
	if fault, ok := errors.AsType[*dial.Error](err); ok {
		switch fault.Cause {
		case dial.Refused:
			if wrongSocketType(fault) {
				return exit.Unreachable
			}
			return exit.NotLetIn
		case dial.Mechanism, dial.Key:
			return exit.NotLetIn
		case dial.Unreachable, dial.Foreign, dial.Version, dial.SocketType, dial.Slow, dial.Left, dial.Lost, dial.Silent:
			return exit.Unreachable
		}
	}
	if _, ended := errors.AsType[*zioflow.FlowError](err); ended {
		return exit.Failed
	}
	switch status.Code(err) {
	case codes.Unauthenticated, codes.PermissionDenied:
		return exit.NotLetIn
	case codes.Unavailable:
		return exit.Unreachable
	case codes.InvalidArgument:
		return exit.Usage
	}
	return exit.Failed
}

// checkGRPC refuses an address that is none of gRPC's.
func checkGRPC(address string) error {
	host, port, err := net.SplitHostPort(address)
	scheme, rest, hasScheme := strings.Cut(address, "://")
	switch {
	case strings.HasPrefix(address, "unix:"):
		return nil
	case hasScheme && (scheme == "tcp" || scheme == "ipc"):
		return fmt.Errorf("the address is %s, as ZeroMQ has them: want HOST:PORT for gRPC, or --via zmq-server or zmq-router", address)
	case hasScheme:
		return fmt.Errorf("the address is %s: want HOST:PORT, without a scheme: %s", address, rest)
	case err != nil || host == "":
		return fmt.Errorf("the address is %s: want HOST:PORT, with an IPv6 address in brackets", address)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("the address is %s: the port is %.20q, want 1 to 65535", address, port)
	}
	return nil
}

// checkZeroMQ says how an address is meant that has no scheme.
func checkZeroMQ(address string) error {
	if strings.Contains(address, "://") {
		return nil // which the dialler looks at
	}
	if _, _, err := net.SplitHostPort(address); err == nil {
		return fmt.Errorf("the address is %s: ZeroMQ's begin with tcp:// or ipc://: tcp://%s", address, address)
	}
	return errors.New("the address is " + address + ": ZeroMQ's begin with tcp:// or ipc://")
}

// wrongSocketType tells whether an end has refused the other one's socket type.
func wrongSocketType(fault *dial.Error) bool {
	return fault.Cause == dial.SocketType || fault.Cause == dial.Refused && strings.Contains(fault.Detail, "socket type")
}
