package operate

import (
	"fmt"
	"regexp"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/zioflow/gateway/cli/console"
	"github.com/zioflow/gateway/cli/exit"
	"github.com/zioflow/gateway/cli/tables"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

func printJSON(c call, m proto.Message) error {
	text, err := tables.JSON(m, true)
	if err != nil {
		return err
	}
	return c.console.Print(text)
}

// concerning has an error say what it is about, unless its words do.
func concerning(what string, err error) error {
	if regexp.MustCompile(regexp.QuoteMeta(what) + `\b`).MatchString(err.Error()) {
		return err
	}
	return exit.With(exit.Of(err), fmt.Errorf("%s: %w", what, err))
}

// disconnectCommand ends peers' connections.
type disconnectCommand struct {
	doFlags      `embed:""`
	confirmFlags `embed:""`
	ownNode      `embed:""`
	IDs          []uint64 `arg:"" name:"id" help:"Their numbers, as gateway peers shows them."`
}

// Run disconnects one peer after the other, and their flows.
func (d *disconnectCommand) Run(c *console.Console) error {
	return d.do(c, func(c call) error {
		d.IDs = slices.Compact(slices.Sorted(slices.Values(d.IDs)))
		about, err := d.about(c)
		if err != nil {
			return err
		}
		question := fmt.Sprintf("Disconnect %s, and end their flows?", plural(len(d.IDs), "peer"))
		if len(d.IDs) == 1 {
			question = "Disconnect this peer, and end its flow?"
		}
		if err := d.confirm(c, about, question); err != nil {
			return err
		}
		for _, id := range d.IDs {
			r, err := ask(c, &gatewayv1.DisconnectPeerRequest{PeerId: id, Node: d.Node, Detail: d.Detail}, c.DisconnectPeer)
			if err != nil {
				return concerning(fmt.Sprintf("peer %d", id), err)
			}
			words := fmt.Sprintf("disconnected peer %d: %s", id, tables.Printable(tables.Peer(r.GetPeer().GetPeer())))
			if err := d.say(c, r.GetPeer(), words); err != nil {
				return err
			}
		}
		return nil
	})
}

// about shows the peers; one that is not there is an error. Without a question, nobody needs
// it, and the gateway says the same.
func (d *disconnectCommand) about(c call) (*tables.Table, error) {
	if d.Yes {
		return nil, nil
	}
	ctx, cancel := c.Limited(c.context)
	defer cancel()
	wanted := map[uint64]bool{}
	for _, id := range d.IDs {
		wanted[id] = true
	}
	var peers []*gatewayv1.ConnectedPeer
	node := d.Node
	if node == "" {
		s, err := c.GetStatus(ctx, &gatewayv1.GetStatusRequest{})
		if err != nil {
			return nil, c.Explain(err)
		}
		node = ownID(s)
	}
	for page, err := range c.PeerPages(ctx, &gatewayv1.ListPeersRequest{Node: node}) {
		if err != nil {
			return nil, c.Explain(err)
		}
		for _, p := range page.GetPeers() {
			if wanted[p.GetId()] {
				peers = append(peers, p)
				delete(wanted, p.GetId())
			}
		}
	}
	for id := range wanted {
		return nil, exit.Errorf(exit.NotFound, "there is no peer %d, or it has left; `gateway peers` lists those that are there", id)
	}
	return tables.Peers(peers, time.Now()), nil
}

// ownID is the id of the gateway that was asked as a node; empty without a cluster.
func ownID(s *gatewayv1.GetStatusResponse) string {
	for _, n := range s.GetCluster().GetNodes() {
		if n.GetSelf() {
			return n.GetId()
		}
	}
	return ""
}

// drainCommand refuses new flows.
type drainCommand struct {
	doFlags `embed:""`
	ownNode `embed:""`
	Wait    bool          `env:"-" short:"w" help:"Wait until no flow is left."`
	For     time.Duration `env:"-" help:"How long to wait at the most; 0s for as long as it takes." default:"0s"`
}

// Run drains, and waits if it was told to.
func (d *drainCommand) Run(c *console.Console) error {
	return d.do(c, func(c call) error {
		r, err := ask(c, &gatewayv1.DrainRequest{Node: d.Node}, c.Drain)
		if err != nil {
			return err
		}
		err = d.say(c, r, fmt.Sprintf("%s refuses new flows; %s left", d.what(), are(r.GetFlows())))
		if err != nil || !d.Wait || r.GetFlows() == 0 {
			return err
		}
		return d.wait(c, r.GetFlows())
	})
}

// what is the gateway that is meant.
func (n *ownNode) what() string {
	if n.Node == "" {
		return "the gateway"
	}
	return "node " + tables.Printable(n.Node)
}

// at is where that is, behind other words; empty for the gateway that is asked.
func (n *ownNode) at() string {
	if n.Node == "" {
		return ""
	}
	return " at node " + tables.Printable(n.Node)
}

func are(flows uint64) string {
	if flows == 1 {
		return "1 flow is"
	}
	return plural(int(flows), "flow") + " are" //nolint:gosec // far below 2⁶³
}

// drainLook is how often it is asked what is left.
const drainLook = 500 * time.Millisecond

// wait returns when none is left of so many flows.
func (d *drainCommand) wait(c call, left uint64) error {
	tick := time.NewTicker(drainLook)
	defer tick.Stop()
	var late <-chan time.Time
	if d.For > 0 {
		timer := time.NewTimer(d.For)
		defer timer.Stop()
		late = timer.C
	}
	tell := func() { c.console.Note("\r%s left \x1b[K", are(left)) }
	tell()
	for {
		s, err := ask(c, &gatewayv1.GetStatusRequest{Node: d.Node}, c.GetStatus)
		if err != nil && c.context.Err() != nil {
			return d.interrupted(c, left)
		}
		if err != nil {
			c.console.Note("\n")
			return err
		}
		left = s.GetActiveFlows() + s.GetPendingFlows() + s.GetHalfClosedFlows()
		tell()
		switch {
		case !s.GetDraining():
			c.console.Note("\n")
			return exit.Errorf(exit.Refused, "%s takes flows again: somebody else has undrained it", d.what())
		case left == 0:
			c.console.Note("\r\x1b[K")
			return d.say(c, s, "no flow is left")
		}
		select {
		case <-tick.C:
		case <-late:
			c.console.Note("\n")
			return exit.Errorf(exit.Failed, "after %v %s left; %s goes on refusing new ones", d.For, are(left), d.what())
		case <-c.context.Done():
			return d.interrupted(c, left)
		}
	}
}

func (d *drainCommand) interrupted(c call, left uint64) error {
	c.console.Note("\n")
	err := console.Interruption(c.context)
	return exit.With(exit.Of(err), fmt.Errorf("%w; %s left, and %s goes on refusing new ones", err, are(left), d.what()))
}

type undrainCommand struct {
	doFlags `embed:""`
	ownNode `embed:""`
}

// Run takes new flows again.
func (u *undrainCommand) Run(c *console.Console) error {
	return u.do(c, func(c call) error {
		r, err := ask(c, &gatewayv1.UndrainRequest{Node: u.Node}, c.Undrain)
		if err != nil {
			return err
		}
		return u.say(c, r, u.what()+" takes new flows")
	})
}
