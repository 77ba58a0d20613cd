package zre

import (
	"context"
	"log/slog"
	"net/netip"
	"strings"

	"github.com/zioflow/gateway/internal/logs"
	"github.com/zioflow/gateway/zre/peers"
	"github.com/zioflow/gateway/zre/wire"
)

// do does what the machine wants.
func (n *Node) do(effect peers.Effect) {
	switch e := effect.(type) {
	case peers.Dial:
		n.reach(e.Out, e.To)
	case peers.Send:
		n.send(e.Out, &e.Message)
	case peers.Hang:
		n.hang(e.Out)
	case peers.Cut:
		n.inbox.closeIncoming(e.In)
	case peers.Greeted:
		n.inbox.greeted(e.In)
	case peers.Entered:
		n.entered(&e.Peer)
	case peers.Changed:
		n.entered(&e.Peer)
	case peers.Exited:
		n.exited(e.UUID, string(e.Reason))
	case peers.Refused:
		n.refused(e.Cause, e.From)
	}
}

// entered has the table show a peer as it is now.
func (n *Node) entered(p *peers.Peer) {
	id := n.ids[p.UUID]
	shown := n.table.Put(NodeInfo{
		ID: id, UUID: p.UUID, Name: p.Name, Endpoint: "tcp://" + p.Endpoint.String(), Local: p.Local, Headers: p.Headers,
	})
	n.ids[p.UUID] = shown.ID
	if id == 0 {
		n.line(slog.LevelInfo, "enter", "node found", shown)
	} else if shown.Changed != shown.Entered {
		n.line(slog.LevelDebug, "changed", "node has said HELLO again", shown)
	}
	if shown.Name == n.options.Name && n.hasPortOf(shown) { // PEER-2
		n.line(slog.LevelWarn, "same name", "another node has this node's name: who connects by name gets to both", shown)
	}
}

// hasPortOf tells whether a node has a port that has the name of one of this node's.
func (n *Node) hasPortOf(other *NodeInfo) bool {
	for _, p := range n.options.Ports {
		if _, has := other.Port(p.Name); has {
			return true
		}
	}
	return false
}

func (n *Node) exited(uuid wire.UUID, reason string) {
	id := n.ids[uuid]
	delete(n.ids, uuid)
	if shown := n.table.Take(id, reason); shown != nil {
		n.line(slog.LevelInfo, "exit", "node gone", shown, "reason", reason)
	}
}

// line writes a line about a node, sampled by its host.
func (n *Node) line(level slog.Level, kind, message string, about *NodeInfo, more ...any) {
	_, at, _ := strings.Cut(about.Endpoint, "://")
	n.sampler.Log(context.Background(), level, "node "+kind, logs.Of("", at), message,
		append([]any{"name", about.Name, "endpoint", about.Endpoint, "uuid", about.UUID.String(), "headers", len(about.Headers)}, more...)...)
}

// explained are the causes that whoever runs the network should hear of.
var explained = map[peers.Cause]string{
	peers.Unreachable: "a node is heard but its inbox cannot be reached: is there a firewall?",
	peers.Endpoint:    "a node has connected whose inbox is elsewhere than it comes from: it cannot be answered",
	peers.Full:        "a node is dropped: there are too many",
}

func (n *Node) refused(cause peers.Cause, from netip.Addr) {
	level, message := slog.LevelDebug, "dropped what came from the network"
	if text := explained[cause]; text != "" {
		level, message = slog.LevelWarn, text
	}
	n.sampler.Log(context.Background(), level, "node "+string(cause), logs.Of("", from.String()), message,
		"cause", string(cause), "from", from.String())
}
