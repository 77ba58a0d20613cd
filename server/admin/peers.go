package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/zioflow/gateway/broker"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/server/contract"
)

// ListPeers shows who is connected, the latest first.
func (s *Service) ListPeers(_ context.Context, request *gatewayv1.ListPeersRequest) (*gatewayv1.ListPeersResponse, error) {
	transport := request.GetTransport()
	p, err := newPage(request, transport)
	if err != nil {
		return nil, err
	}
	response := &gatewayv1.ListPeersResponse{}
	for peer := range s.broker.PeersBefore(broker.PeerID(p.before), transport) {
		connected := toConnected(&peer)
		if !p.takes(connected) {
			response.NextPageToken = p.next()
			break
		}
		response.Peers = append(response.Peers, connected)
		p.before = uint64(peer.ID)
	}
	return response, nil
}

// DisconnectPeer ends a peer's flow and connection. Who has done so is logged.
func (s *Service) DisconnectPeer(ctx context.Context, request *gatewayv1.DisconnectPeerRequest) (*gatewayv1.DisconnectPeerResponse, error) {
	id, detail := request.GetPeerId(), request.GetDetail()
	if detail == "" {
		detail = "an operator disconnected the peer"
	}
	peer, err := s.broker.Disconnect(broker.PeerID(id), detail)
	switch {
	case errors.Is(err, broker.ErrNoPeer):
		return nil, notFound("peer", id, fmt.Sprintf("there is no peer %d, or it has left", id))
	case err != nil:
		return nil, notNow("PEER_CONNECTION", "peer "+number(id), fmt.Errorf("%w: %v", err, peer.Info))
	}
	s.log.LogAttrs(ctx, slog.LevelInfo, "peer disconnected", slog.Any("peer", peer.Info), slog.Uint64("id", id),
		slog.Uint64("flow", uint64(peer.Flow)), slog.String("detail", detail), slog.Any("by", s.caller(ctx)))
	connected := toConnected(&peer)
	connected.Node = s.ownName()
	return &gatewayv1.DisconnectPeerResponse{Peer: connected}, nil
}

// mechanisms are the words of transport.LinkInfo in the contract's.
var mechanisms = map[string]gatewayv1.Mechanism{
	"NULL": gatewayv1.Mechanism_MECHANISM_NONE, "none": gatewayv1.Mechanism_MECHANISM_NONE,
	"CURVE": gatewayv1.Mechanism_MECHANISM_CURVE,
	"tls":   gatewayv1.Mechanism_MECHANISM_TLS, "mtls": gatewayv1.Mechanism_MECHANISM_MTLS,
}

func toConnected(p *broker.ConnectedPeer) *gatewayv1.ConnectedPeer {
	l := &p.Link
	return &gatewayv1.ConnectedPeer{
		Id: uint64(p.ID), Peer: contract.ToPeer(p.Info), Connected: timeOf(p.Connected), FlowId: uint64(p.Flow),
		Protocol: l.Protocol, Mechanism: mechanisms[l.Mechanism], Key: l.Key,
		BytesIn: l.BytesIn, BytesOut: l.BytesOut,
		QueuedMessages: l.QueuedMessages, QueuedBytes: l.QueuedBytes, LastSeen: timeOf(l.LastSeen),
	}
}
