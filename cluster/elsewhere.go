package cluster

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/broker/routing"
	"github.com/zioflow/gateway/broker/transport"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/server/contract"
)

// Knows implements broker.Elsewhere.
func (n *Node) Knows(cid uint64) bool { return len(n.numbers.of(cid)) > 0 }

// Reach implements broker.Elsewhere.
func (n *Node) Reach(a *broker.Acceptance) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		a.NoOffer()
		return
	}
	n.carrying.Go(func() {
		for _, m := range n.numbers.of(a.CID) {
			if found := m.accept(a); found {
				return
			}
		}
		a.NoOffer()
	})
}

// Decline implements broker.Elsewhere.
func (n *Node) Decline(ctx context.Context, by transport.PeerInfo, cid uint64, detail string) error {
	for _, m := range n.numbers.of(cid) {
		if m.conn == nil {
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, n.options.Broker.Options().PendingTimeout)
		_, err := gatewayv1.NewClusterServiceClient(m.conn).DeclineOffer(ctx, &gatewayv1.DeclineOfferRequest{
			Cid: cid, Detail: detail, Handler: contract.ToPeer(by), Node: n.options.Node,
		})
		cancel()
		switch status.Code(err) {
		case codes.OK:
			return nil
		case codes.PermissionDenied:
			return routing.ErrForeignOffer
		}
	}
	return routing.ErrNoOffer
}
