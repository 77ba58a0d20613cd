package dial

import (
	"context"
	"fmt"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zioflow/gateway/zmqbridge/transit"
	"github.com/zioflow/gateway/zmtp"
)

// session is one connection whose handshake is over. One goroutine reads, one
// writes, and the one that calls run looks after both.
type session struct {
	options *Options
	conn    net.Conn
	peer    zmtp.Peer
	cipher  *zmtp.Session // nil under NULL

	in   queue[[][]byte]
	out  queue[outbound]
	sent atomic.Uint64 // messages written whole

	bytesIn, bytesOut atomic.Uint64 // that were read and written

	ctx  context.Context // over when the session is being ended
	stop context.CancelFunc

	mu   sync.Mutex
	err  *Error // guarded by mu; why it ends: the first call of fail says so
	pong []byte // guarded by mu; a frame that is to be written, at most one
	ping bool   // guarded by mu; a PING is to be written

	urgent chan struct{} // holds a token when pong or ping is set
	done   chan struct{} // closed when all is over: then err is complete

	started  time.Time
	lastSeen atomic.Int64 // nanoseconds since started, of the last byte that came
	pinged   atomic.Int64 // likewise, of a PING that was not answered; 0 for none
	ttl      atomic.Int64 // of the last PING that came; 0 for none
	wrote    atomic.Bool  // messages were written since the last byte came
	full     atomic.Bool  // nothing is read: Incoming is full
	transit  transit.Meter
	severed  atomic.Bool // the socket takes nothing any more; what has come is still read
}

// newSession is the session of a connection that is established.
func newSession(ctx context.Context, o *Options, conn net.Conn, h *zmtp.Handshake) *session {
	s := &session{
		options: o, conn: conn, peer: *h.Peer(), cipher: h.Session(),
		urgent: make(chan struct{}, 1), done: make(chan struct{}), started: time.Now(),
	}
	s.in.limit, s.out.limit = o.Incoming, o.Outgoing
	s.ctx, s.stop = context.WithCancel(ctx)
	return s
}

// run serves the session to its end and returns why it has ended. rest is what has
// come behind the handshake.
func (s *session) run(rest []byte) *Error {
	var running sync.WaitGroup
	running.Go(func() { s.read(rest) })
	running.Go(s.write)
	s.watch()
	_ = s.conn.Close() // wakes both
	running.Wait()
	return s.conclude()
}

// conclude counts what was not sent, and tells everybody that the session is over.
func (s *session) conclude() *Error {
	s.fail(Lost, "the connection was closed here", ErrClosed) // unless something else was first
	s.out.close()
	left := s.out.counted()
	for _, e := range s.out.take(nil, int(^uint(0)>>1)) {
		e.item.release()
	}
	s.mu.Lock()
	s.err.Unsent, s.err.UnsentBytes, s.err.Sent = left.Messages, left.Bytes, s.sent.Load()
	err := s.err
	s.mu.Unlock()
	close(s.done)
	s.in.close()
	return err
}

// fail has the session end. The first call says why, but for what the peer has
// said itself.
func (s *session) fail(cause Cause, detail string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil || s.severed.Load() && cause == Refused {
		s.err = &Error{Cause: cause, Address: s.options.Address, Detail: detail, err: err}
		s.stop()
	}
}

// recover ends a session on whose path something has panicked, and no other.
func (s *session) recover() {
	if problem := recover(); problem != nil {
		s.fail(Panic, fmt.Sprintf("an error of this program: %.200v", problem), fmt.Errorf("panic: %v\n%s", problem, debug.Stack()))
		s.stop()
	}
}

// sever is fail for a socket that takes nothing any more. What the peer has sent
// before it closed, which may say why, is still read.
func (s *session) sever(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = &Error{Cause: Lost, Address: s.options.Address, Detail: "the connection was lost: " + reasonOf(err), err: err}
		s.severed.Store(true)
		_ = s.conn.SetReadDeadline(time.Now().Add(severedGrace))
	}
}

// severedGrace is how long the next bytes may take on a severed connection.
const severedGrace = 100 * time.Millisecond

// lost is why the session has ended; nil while it lives.
func (s *session) lost() *Error {
	select {
	case <-s.done:
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.err
	default:
		return nil
	}
}

// finish waits, while the context lasts, until what waits has been written, and then
// until the peer has seen that nothing more will come. A socket that is closed
// while there are bytes to be read takes back what is under way.
func (s *session) finish(ctx context.Context) {
	s.out.close()
	s.in.close() // what comes is dropped
	for s.out.counted().Messages > 0 {
		select {
		case <-s.out.idle():
		case <-s.done:
			return
		case <-ctx.Done():
			return
		}
	}
	if half, ok := s.conn.(interface{ CloseWrite() error }); !ok || half.CloseWrite() != nil {
		return
	}
	select {
	case <-s.done:
	case <-ctx.Done():
	}
}
