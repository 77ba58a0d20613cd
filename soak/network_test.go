//go:build soak

package soak

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/Shopify/toxiproxy/v2/stream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

// trouble is what a network does to a connection.
type trouble string

const (
	cut      trouble = "cut"      // both ways closed, and connections accepted again
	reset    trouble = "reset"    // RST
	delay    trouble = "delay"    // latency and jitter
	throttle trouble = "throttle" // little bandwidth
	slicing  trouble = "slicing"  // small pieces
)

var troubles = []trouble{cut, reset, delay, throttle, slicing}

// breaks tells whether a flow can't survive it.
func (w trouble) breaks() bool { return w == cut || w == reset }

// run is one flow of which one side's connection is in trouble.
type run struct {
	trouble     trouble
	via         transport // of the side in trouble
	partner     transport
	clientGives bool
	atClient    bool
	seed        uint64
}

// nearGives tells whether the side in trouble is the giver.
func (r run) nearGives() bool { return r.atClient == r.clientGives }

func (r run) String() string {
	return fmt.Sprintf("%s of %s via %s, client gives %t, partner via %s, seed %d", r.trouble,
		map[bool]string{true: "client", false: "handler"}[r.atClient], r.via, r.clientGives, r.partner, r.seed)
}

// TestNetwork has the network between a peer and the gateway cut, delay,
// throttle, reset and slice: what arrives is a prefix of what was sent, and a
// flow that was cut short says so on both sides.
func TestNetwork(t *testing.T) {
	rng := seeded(t)
	g := startGateway(t, "--heartbeat="+heartbeat.String(), "--heartbeat-timeout="+heartbeatTimeout.String(), "--eot-timeout=5s")
	d := openDesk(t, g)
	count := networkCount{}
	runs := make([]run, scaled(240, 30))
	for i := range runs {
		runs[i] = run{
			trouble: troubles[i%5], via: transports[i/5%3], partner: transports[rng.IntN(3)],
			clientGives: rng.IntN(2) == 0, atClient: rng.IntN(2) == 0, seed: rng.Uint64(),
		}
	}
	inParallel(len(runs), 8, func(i int) {
		near, far, err := runs[i].try(d)
		if err == nil {
			err = count.note(runs[i], near, far)
		}
		if err != nil {
			t.Errorf("run %d, %v: %v", i, runs[i], err)
		}
	})
	report(t, "no silent gap", "%d flows: %v", len(runs), &count.whole)
	report(t, "told on the cut side", "%v", &count.near)
	report(t, "told on the other side", "%v", &count.far)
}

// networkCount is how flows ended, for the side in trouble and for its partner.
type networkCount struct{ whole, near, far tally }

// note counts a run. The error is that of a silent gap.
func (c *networkCount) note(r run, near, far error) error {
	switch {
	case near == nil && far == nil:
		c.whole.add("whole")
	case near == nil && r.trouble.breaks() && !r.nearGives() && reasonOf(far) == "peer_gone":
		// It has all that was sent, and its answer to the EOT was cut off: no
		// protocol can have both sides know of their last message.
		c.whole.add("whole, but the last EOT cut off, which the giver knows")
		return nil
	case near == nil || far == nil:
		return errors.New(fmt.Sprint("only one side knows: ", near, ", partner ", far))
	case !r.trouble.breaks():
		return fmt.Errorf("ended with %w, partner %w", near, far)
	default:
		c.whole.add("cut short and known to both sides")
	}
	if r.trouble.breaks() {
		c.near.add(string(r.via) + " " + reasonOf(near))
		c.far.add(reasonOf(far))
	}
	return nil
}

// try runs one flow; near and far are how it ended for the side in trouble and
// for its partner, nil where it completed.
func (r run) try(d *desk) (near, far, err error) {
	rng := rand.New(rand.NewPCG(r.seed, 0))
	proxy, err := newProxy(d.gateway.addresses[r.via])
	if err != nil {
		return nil, nil, err
	}
	defer proxy.Stop()
	if err := r.burden(proxy, rng); err != nil {
		return nil, nil, err
	}
	inTrouble, err := dial(r.via, proxied(d.gateway.addresses[r.via], proxy))
	if err != nil {
		return nil, nil, err
	}
	defer inTrouble.close()
	partner, err := dial(r.partner, d.gateway.addresses[r.partner])
	if err != nil {
		return nil, nil, err
	}
	defer partner.close()
	ends := [2]peer{partner, inTrouble}
	if r.atClient {
		ends = [2]peer{inTrouble, partner}
	}
	client, handler, err := d.join(ends[0], ends[1], r.clientGives, int64(1+rng.IntN(20)))
	if err != nil {
		return nil, nil, err
	}
	nearSide, farSide := handler, client
	if r.atClient {
		nearSide, farSide = client, handler
	}
	return r.move(proxy, nearSide, farSide, rng)
}

// move moves the flow's data, and has the trouble come in its middle.
func (r run) move(proxy *toxiproxy.Proxy, nearSide, farSide *side, rng *rand.Rand) (near, far, err error) {
	const count = 300
	at, size := rng.IntN(count), 100+rng.IntN(4000)
	var wait sync.WaitGroup
	move := func(s *side, result *error) {
		*result = s.carry(count, size, cutWait, func() {
			if s == nearSide && int(s.count) == at && r.trouble.breaks() {
				wait.Go(func() { err = r.strike(proxy) })
			}
		})
	}
	wait.Go(func() { move(nearSide, &near) })
	wait.Go(func() { move(farSide, &far) })
	wait.Wait()
	giver, taker := nearSide, farSide
	if farSide.gives {
		giver, taker = farSide, nearSide
	}
	switch {
	case errors.Is(near, errWrong), errors.Is(far, errWrong):
		err = errors.Join(near, far)
	case near == nil && (taker.count != count || giver.count != count):
		err = fmt.Errorf("completed, but %d of %d arrived", taker.count, giver.count)
	}
	return near, far, err
}

// cutWait is how long a side here waits before it takes itself for cut off.
const cutWait = 4 * time.Second

// burden has the proxy do what lasts.
func (r run) burden(proxy *toxiproxy.Proxy, rng *rand.Rand) error {
	var toxic string
	switch r.trouble {
	case delay:
		toxic = fmt.Sprintf(`"type":"latency","attributes":{"latency":%d,"jitter":%d}`, 1+rng.IntN(10), rng.IntN(5))
	case throttle:
		toxic = fmt.Sprintf(`"type":"bandwidth","attributes":{"rate":%d}`, 500+rng.IntN(2000))
	case slicing:
		toxic = fmt.Sprintf(`"type":"slicer","attributes":{"average_size":%d,"size_variation":20,"delay":10}`, 25+rng.IntN(1000))
	default:
		return nil
	}
	return poison(proxy, toxic)
}

// resetTime is how long connections are reset, new ones too.
const resetTime = 200 * time.Millisecond

// strike breaks the connection. After that the network is well again.
func (r run) strike(proxy *toxiproxy.Proxy) error {
	if r.trouble == reset {
		err := poison(proxy, `"type":"reset_peer","attributes":{"timeout":0}`)
		time.Sleep(resetTime)
		proxy.Toxics.ResetToxics(context.Background())
		return err
	}
	proxy.Stop()
	return proxy.Start()
}

// poison adds a toxic in both directions.
func poison(proxy *toxiproxy.Proxy, toxic string) error {
	for _, way := range []stream.Direction{stream.Upstream, stream.Downstream} {
		body := fmt.Sprintf(`{"name":"%v","stream":"%v",%s}`, way, way, toxic)
		if _, err := proxy.Toxics.AddToxicJson(strings.NewReader(body)); err != nil {
			return fmt.Errorf("%s: %w", body, err)
		}
	}
	return nil
}

// newProxy is a proxy in this process before an address of the gateway.
func newProxy(address string) (*toxiproxy.Proxy, error) {
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop())
	proxy := toxiproxy.NewProxy(server, "network", "127.0.0.1:0", strings.TrimPrefix(address, "tcp://"))
	return proxy, proxy.Start()
}

// proxied is the address with the proxy's in its place.
func proxied(address string, proxy *toxiproxy.Proxy) string {
	if strings.HasPrefix(address, "tcp://") {
		return "tcp://" + proxy.Listen
	}
	return proxy.Listen
}
