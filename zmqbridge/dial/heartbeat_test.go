package dial

import (
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zioflow/gateway/zmtp"
)

// heartbeats are the options that these tests have.
func heartbeats() Options {
	o := DefaultOptions("tcp://127.0.0.1:5555", zmtp.Client)
	o.Heartbeat, o.HeartbeatTimeout, o.Stall = time.Second, 3*time.Second, 30*time.Second
	return o
}

// meet connects to a peer that a function is, and returns the loss that the
// connection ends with, and after how long.
func meet(t *testing.T, o Options, meet func(f *far), during func(c *Conn)) (*Error, time.Duration) {
	t.Helper()
	n := &network{t: t}
	n.meet = func(attempt int, conn net.Conn) {
		if f := n.server(conn); attempt == 1 {
			meet(f)
		}
		(&far{Conn: conn}).discard()
	}
	c := n.start(o)
	if err := c.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	if during != nil {
		during(c)
	}
	for {
		_, err := c.ReceiveParts(t.Context())
		if err == nil {
			continue
		}
		fault, ok := errors.AsType[*Error](err)
		if !ok {
			t.Fatalf("received %v, want a loss", err)
		}
		return fault, time.Since(begin)
	}
}

// TestSilent: a peer that answers no PING is given up.
func TestSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var pings atomic.Int32
		fault, after := meet(t, heartbeats(), func(f *far) {
			for {
				h, body, err := f.next()
				if err != nil {
					return
				}
				if name, _, _ := zmtp.ParseCommand(body); h.Command && name == "PING" {
					pings.Add(1)
				}
			}
		}, nil)
		if fault.Cause != Silent || after < 4*time.Second || after > 5*time.Second || pings.Load() != 1 {
			t.Errorf("lost after %v and %d PINGs: %v, want that it is silent, after 4 to 5 s", after, pings.Load(), fault)
		}
	})
}

// TestAlive: whatever a peer sends is a sign of life, whether it answers PINGs or
// not, a slow message too.
func TestAlive(t *testing.T) {
	for name, live := range map[string]func(f *far){
		"answers PINGs": func(f *far) {
			for range 20 {
				h, body, err := f.next()
				name, data, _ := zmtp.ParseCommand(body)
				if err != nil || !h.Command || name != "PING" {
					return
				}
				_, context, _ := zmtp.ParsePing(data)
				_, _ = f.Write(zmtp.AppendPong(nil, context))
			}
		},
		"sends slowly": func(f *far) {
			go f.discard()
			_, _ = f.Write(zmtp.AppendHeader(nil, zmtp.Header{Size: 20}))
			for range 20 {
				time.Sleep(3 * time.Second)
				_, _ = f.Write([]byte{0})
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := heartbeats()
				_, after := meet(t, o, func(f *far) { live(f); _ = f.Close() }, nil)
				if after < 20*time.Second {
					t.Errorf("lost after %v, want that it is served for as long as it lives", after)
				}
			})
		})
	}
}

// TestNoHeartbeats: with 0 nobody is asked, and nobody who knows no PING.
func TestNoHeartbeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := heartbeats()
		o.Heartbeat = 0
		fault, after := meet(t, o, func(f *far) {
			time.AfterFunc(time.Hour, func() { _ = f.Close() })
			if _, body, err := f.next(); err == nil {
				t.Errorf("sent %q", body)
			}
		}, nil)
		if after != time.Hour || fault.Cause != Lost {
			t.Errorf("lost after %v: %v, want an hour", after, fault)
		}
	})
}

// TestBusyFarEnd: one that takes nothing for a while has no PING to answer. When it
// has taken nothing for too long, it is given up.
func TestBusyFarEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := heartbeats()
		fault, after := meet(t, o, func(f *far) {
			time.Sleep(25 * time.Second) // less than Stall
			_, _ = f.message()
			_ = f.send("taken")
			time.Sleep(time.Hour)
		}, func(c *Conn) {
			for range 2 {
				if err := c.SendParts(t.Context(), make([]byte, 100_000)); err != nil {
					t.Error(err)
				}
				synctest.Wait()
			}
		})
		if fault.Cause != Stalled || fault.Unsent != 1 || after < 50*time.Second || after > 60*time.Second {
			t.Errorf("lost after %v: %v, want that it has stalled, with one message, after 25 and 30 s", after, fault)
		}
	})
}

// TestSlowFarEnd: one that takes little at a time is not given up.
func TestSlowFarEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sizes := make(chan int, 1)
		o := heartbeats()
		_, after := meet(t, o, func(f *far) {
			total := 0
			for total < 10_000+9 {
				time.Sleep(20 * time.Second)
				n, err := f.Read(make([]byte, 1000))
				if err != nil {
					break
				}
				total += n
			}
			sizes <- total
			_ = f.Close()
		}, func(c *Conn) {
			if err := c.SendParts(t.Context(), make([]byte, 10_000)); err != nil {
				t.Error(err)
			}
		})
		if got := <-sizes; got != 10_000+9 || after < 3*time.Minute {
			t.Errorf("took %d bytes in %v, want all", got, after)
		}
	})
}

// TestReceiverPauses: while nobody receives, nothing is read beyond the limit, and the
// peer is not called silent for that.
func TestReceiverPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sent atomic.Int32
		o := heartbeats()
		o.Incoming = Limit{Messages: 3, Bytes: 1 << 20}
		fault, after := meet(t, o, func(f *far) {
			go f.discard()
			for range 10 {
				if f.send("one") != nil {
					break
				}
				sent.Add(1)
			}
			_ = f.Close()
		}, func(*Conn) {
			time.Sleep(time.Minute)
			if sent := sent.Load(); sent > 5 { // three, the one that waits, and what the buffer has
				t.Errorf("%d messages were read", sent)
			}
		})
		if fault.Cause != Lost || after != time.Minute || sent.Load() != 10 {
			t.Errorf("lost after %v and %d messages: %v, want all of them", after, sent.Load(), fault)
		}
	})
}

// TestPingIsAnswered, under NULL, with its context; of a flood, the last one at least.
func TestPingIsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := heartbeats()
		_, _ = meet(t, o, func(f *far) {
			defer func() { _ = f.Close() }()
			for _, text := range []string{"", "a", "sixteen bytes ..", "last"} {
				if _, err := f.Write(zmtp.AppendPing(nil, 0, []byte(text))); err != nil {
					t.Error(err)
				}
				wantPong(t, f, text)
			}
		}, nil)
	})
}

// wantPong reads the PONG with that context.
func wantPong(t *testing.T, f *far, want string) {
	t.Helper()
	h, body, err := f.next()
	name, data, _ := zmtp.ParseCommand(body)
	if err != nil || !h.Command || name != "PONG" || string(data) != want {
		t.Errorf("PING %q was answered with %s %q (%v)", want, name, data, err)
	}
}

// TestTTL: a peer that says how long it may be silent is held to that.
func TestTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := heartbeats()
		o.Heartbeat = 0
		fault, after := meet(t, o, func(f *far) {
			_, _ = f.Write(zmtp.AppendPing(nil, 5*time.Second, nil))
			f.discard()
		}, nil)
		if fault.Cause != Silent || after < 5*time.Second || after > 7*time.Second {
			t.Errorf("lost after %v: %v, want 5 s of silence", after, fault)
		}
	})
}

// TestPingBehindMessages: a peer that is busy with messages may take as long to answer
// a PING as it may to take a byte.
func TestPingBehindMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fault, after := meet(t, heartbeats(), func(f *far) { f.discard() }, func(c *Conn) {
			time.Sleep(1500 * time.Millisecond) // the PING has gone
			if err := c.SendParts(t.Context(), []byte("work")); err != nil {
				t.Error(err)
			}
		})
		if fault.Cause != Silent || after < 30*time.Second || after > 32*time.Second {
			t.Errorf("lost after %v: %v, want that it is silent, after 30 s", after, fault)
		}
	})
}

// TestPause: after this process has not run for a while, nobody is called silent for
// what was not read meanwhile.
func TestPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := heartbeats()
		s := newSession(t.Context(), &o, &closing{}, zmtp.NewHandshake(&zmtp.Config{Type: zmtp.Client}))
		s.peer.Major, s.peer.Minor = 3, 1
		check := func(after time.Duration) (alive, pinged bool) {
			time.Sleep(after)
			s.check(after)
			return s.ctx.Err() == nil, s.pinged.Load() != 0
		}
		for range 5 {
			check(o.tick())
		}
		if alive, pinged := check(time.Minute); !alive || pinged {
			t.Errorf("after a pause it is alive %t, a PING is awaited %t", alive, pinged)
		}
		for range 15 { // the first second, and almost the three for the answer
			if alive, _ := check(o.tick()); !alive {
				t.Fatal("it was given up too early")
			}
		}
		check(o.tick())
		if alive, pinged := check(o.tick()); alive || !pinged {
			t.Errorf("without an answer it is alive %t, a PING is awaited %t", alive, pinged)
		}
	})
}

// TestFullAndStalled: a message that came before the connection was given up is
// received, also if it had to wait for room.
func TestFullAndStalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := heartbeats()
		o.Incoming.Messages = 1
		n := &network{t: t}
		n.meet = func(_ int, conn net.Conn) {
			f := n.server(conn)
			for _, text := range []string{"one", "two", "three"} {
				_ = f.send(text)
			}
			time.Sleep(time.Hour)
		}
		c := n.start(o)
		if err := c.SendParts(t.Context(), []byte("is not taken")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		var got []string
		for {
			m, err := c.ReceiveParts(t.Context())
			if err != nil {
				if fault, ok := errors.AsType[*Error](err); !ok || fault.Cause != Stalled {
					t.Errorf("lost by %v, want that it has stalled", err)
				}
				break
			}
			got = append(got, string(m[0]))
		}
		if text := strings.Join(got, " "); text != "one two" && text != "one two three" { // the third may just be read
			t.Errorf("received %q, want what was read", text)
		}
	})
}

// TestBehindAProxy: what a proxy took for the far end at the rate of a slow line, and has
// taken ahead at last, is waited for with the PING behind it.
func TestBehindAProxy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const second, message = 1000, 10_000 // bytes: of the line, and each of two frames of 9 and the data
		o := heartbeats()
		o.Stall = o.HeartbeatTimeout
		fault, after := meet(t, o, func(f *far) {
			var line [second]byte
			for range message / second {
				time.Sleep(time.Second)
				_, _ = io.ReadFull(f, line[:])
			}
			for { // the rest is in the proxy
				h, body, err := f.next()
				if err != nil {
					return
				}
				if name, _, _ := zmtp.ParseCommand(body); h.Command && name == "PING" {
					break
				}
			}
			time.Sleep(message / second * time.Second)
			_, _ = f.Write(zmtp.AppendPong(nil, nil))
			f.discard() // it is silent from now on, with nothing in front of it
		}, func(c *Conn) {
			for range 2 {
				if err := c.SendParts(t.Context(), make([]byte, message-9)); err != nil {
					t.Error(err)
				}
			}
		})
		if fault.Cause != Silent || after < 24*time.Second || after > 26*time.Second {
			t.Errorf("lost after %v: %v, want that it is silent, 4 s after it had everything", after, fault)
		}
	})
}
