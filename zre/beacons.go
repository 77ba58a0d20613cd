package zre

import (
	"log/slog"
	"net/netip"
	"time"

	"github.com/zioflow/gateway/internal/logs"
	"github.com/zioflow/gateway/zre/peers"
	"github.com/zioflow/gateway/zre/wire"
)

// look sees to it that what is announced is what the interfaces are.
func (n *Node) look() {
	all, err := interfaces()
	if err != nil {
		n.log.Warn("the interfaces cannot be listed; discovery goes on with those before", "error", err)
		return
	}
	a, beacons := n.options.announcement(all, n.inbox.port)
	if blind := len(a.Sites) == 0; blind != n.blind {
		n.blind = blind
		if blind {
			n.log.Warn("no interface at which this node could be found; it goes on looking for one", "node", n.options.Name)
		}
	}
	n.beacons = beacons
	n.step(peers.Announced{Announcement: a})
}

// shout sends a beacon to every network.
func (n *Node) shout(port uint16) {
	beacon := wire.Beacon{UUID: n.uuid, Port: port}.Append(make([]byte, 0, wire.MaxBeacon))
	for _, to := range n.beacons {
		if _, err := n.udp.WriteToUDPAddrPort(beacon, netip.AddrPortFrom(to, n.options.BeaconPort)); err != nil {
			n.sampler.Log(n.ctx, slog.LevelDebug, "beacon", logs.Peer{}, "beacon not sent", "to", to.String(), "error", err)
			continue
		}
		n.sent.Add(1)
	}
}

// listen reads beacons until the node is closed.
func (n *Node) listen() {
	buffer := make([]byte, wire.MaxBeacon)
	for n.ctx.Err() == nil {
		size, from, err := n.udp.ReadFromUDPAddrPort(buffer)
		if err != nil {
			select {
			case <-n.ctx.Done():
			case <-time.After(50 * time.Millisecond): // an error that may last
			}
			continue
		}
		n.heard.Add(1)
		n.offer(parse(buffer[:size], from.Addr().Unmap()))
	}
}

func parse(datagram []byte, from netip.Addr) peers.Event {
	b, err := wire.ParseBeacon(datagram)
	if err != nil {
		return peers.Garbled{From: from, Err: err}
	}
	return peers.Heard{From: from, Beacon: b}
}
