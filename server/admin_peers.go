package server

import (
	"context"

	"github.com/zioflow/gateway/broker"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
)

// ListPeers shows who is connected, the latest first.
func (s *adminService) ListPeers(_ context.Context, request *gatewayv1.ListPeersRequest) (*gatewayv1.ListPeersResponse, error) {
	transport := request.GetTransport()
	p, err := newPage(request, transport)
	if err != nil {
		return nil, err
	}
	response := &gatewayv1.ListPeersResponse{}
	for peer := range s.broker.PeersBefore(broker.PeerID(p.before), transport) {
		if transport != "" && peer.Info.Transport != transport {
			continue
		}
		if len(response.Peers) == p.size {
			response.NextPageToken = p.next()
			break
		}
		response.Peers = append(response.Peers, &gatewayv1.ConnectedPeer{
			Id: uint64(peer.ID), Peer: toPeer(peer.Info), Connected: timeOf(peer.Connected), FlowId: uint64(peer.Flow),
		})
		p.before = uint64(peer.ID)
	}
	return response, nil
}
