//go:build soak

package soak

import (
	"fmt"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/zioflow/gateway/internal/execfile"
)

// TestDescriptorLimit has connections take up all of the gateway's descriptors,
// at each of its ports: those there are go on, new ones are not served, and when
// the others have gone they are.
func TestDescriptorLimit(t *testing.T) {
	const limit = 128
	binary, err := plainBinary()
	if err != nil {
		t.Fatal(err)
	}
	limited := filepath.Join(workDir, "gateway-limited")
	script := fmt.Sprintf("#!/bin/sh\nulimit -n %d\nexec %s \"$@\"\n", limit, binary)
	if err := execfile.Write(limited, script); err != nil {
		t.Fatal(err)
	}
	g := startBinary(t, limited)
	d := openDesk(t, g)
	for _, via := range transports {
		t.Run(string(via), func(t *testing.T) { testDescriptorLimit(t, d, via, limit) })
	}
}

func testDescriptorLimit(t *testing.T, d *desk, via transport, limit int) {
	g := d.gateway
	var (
		honest sync.WaitGroup
		done   = make(chan struct{})
		rounds [3]int
	)
	for i, via := range transports {
		honest.Go(func() {
			var err error
			if rounds[i], err = neighbour(d, via, done); err != nil {
				t.Errorf("honest flow via %s: %v", via, err)
			}
		})
	}
	time.Sleep(time.Second) // so that they are there first
	var taken []*net.TCPConn
	for i := range 2 * limit {
		c, err := rawDial(g.addresses[via], i)
		if err != nil {
			break // refused
		}
		taken = append(taken, c)
	}
	most := 0
	for range 20 {
		most = max(most, g.usage(t).descriptors)
		time.Sleep(50 * time.Millisecond)
	}
	served := answered(g, via)
	for _, c := range taken {
		_ = c.SetLinger(0)
		_ = c.Close()
	}
	began := time.Now()
	for _, via := range transports {
		if _, err := freshFlow(g, via); err != nil {
			t.Errorf("afterwards, a fresh flow via %s: %v", via, err)
		}
	}
	recovered := time.Since(began)
	close(done)
	honest.Wait()
	report(t, "refuses, recovers", "%d connections for a limit of %d: %d descriptors, a further one served: %t, honest messages meanwhile %v; fresh flows on all transports %v after the others left",
		len(taken), limit, most, served, rounds, brief(recovered))
	if most < limit-3 {
		t.Errorf("only %d descriptors were in use: this shows nothing", most)
	}
}

// answered tells whether a new connection is sent anything within half a second.
func answered(g *gateway, via transport) bool {
	c, err := rawDial(g.addresses[via], 0)
	if err != nil {
		return false
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(500 * time.Millisecond))
	_, err = c.Read(make([]byte, 1))
	return err == nil
}
