package crowd_test

import (
	"bytes"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zioflow/gateway/internal/crowd"
)

// mostWaiting, smallRead and longestWait are what rush.go says.
const (
	mostWaiting = 16
	smallRead   = 2 << 10
	longestWait = 100 * time.Millisecond
)

// TestWaitingCallsHoldReading: nothing is read of one of whose calls too many wait until
// handlers have begun with them.
func TestWaitingCallsHoldReading(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := crowd.New(limits)
		v, conn, far := enter(t, c, "a")
		go func() { _, _ = far.Write([]byte("xyz")) }()
		one := make([]byte, 1)
		for range mostWaiting {
			v.Called()
		}
		if _, err := conn.Read(one); err != nil {
			t.Fatal("as many calls as may wait:", err)
		}
		v.Called()
		read := make(chan time.Time, 1)
		begun := time.Now()
		go func() {
			_, _ = io.ReadFull(conn, one)
			read <- time.Now()
		}()
		time.Sleep(longestWait / 2)
		select {
		case <-read:
			t.Fatal("was read while one call more waited")
		default:
		}
		v.Begun()
		if took := (<-read).Sub(begun); took != longestWait/2 {
			t.Errorf("was read after %v, and not when a handler had begun", took)
		}
	})
}

// TestCallsThatNeverBegin: a connection goes on with calls that no handler begins with,
// and is not slowed down for ever.
func TestCallsThatNeverBegin(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := crowd.New(limits)
		v, conn, far := enter(t, c, "a")
		go func() { _, _ = far.Write(make([]byte, 10)) }()
		for range 10 * mostWaiting {
			v.Called()
		}
		begun := time.Now()
		for range 10 {
			if _, err := conn.Read(make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(begun); took != longestWait {
			t.Errorf("10 reads took %v, want %v", took, longestWait)
		}
		for range 10 * mostWaiting {
			v.Begun() // late, and not in the place of those that come now
		}
		for range mostWaiting + 1 {
			v.Called()
		}
		go func() { _, _ = far.Write([]byte("x")) }()
		begun = time.Now()
		if _, err := conn.Read(make([]byte, 1)); err != nil || time.Since(begun) != longestWait {
			t.Errorf("a read after %v: %v; those that are late count for others", time.Since(begun), err)
		}
	})
}

// TestManyCallsAreReadBitByBit: after a read that has brought many calls little is read
// at once, and much when there were few again.
func TestManyCallsAreReadBitByBit(t *testing.T) {
	t.Parallel()
	c := crowd.New(limits)
	v, conn, far := enter(t, c, "a")
	go func() { _, _ = far.Write(bytes.Repeat([]byte("x"), 3*4*smallRead)) }()
	buffer := make([]byte, 4*smallRead)
	want := func(calls, most int) {
		t.Helper()
		for range calls {
			v.Called()
			v.Begun()
		}
		if n, err := conn.Read(buffer); err != nil || n != most {
			t.Errorf("%d bytes were read after %d calls: %v; want %d", n, calls, err, most)
		}
	}
	want(mostWaiting, len(buffer))
	want(mostWaiting+1, smallRead)
	want(mostWaiting+1, smallRead)
	want(1, len(buffer))
}
