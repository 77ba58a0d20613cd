package admin

import (
	"context"
	"maps"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/server/contract"
	"github.com/zioflow/gateway/zre/nodes"
)

// ListNodes shows the nodes that discovery has found.
func (s *Service) ListNodes(_ context.Context, request *gatewayv1.ListNodesRequest) (*gatewayv1.ListNodesResponse, error) {
	name := request.GetName()
	p, err := newUpwardPage(request, "nodes "+name)
	if err != nil {
		return nil, err
	}
	response := &gatewayv1.ListNodesResponse{}
	if request.GetPageToken() == "" {
		response.Cluster = clusterOf(s.process.Status().Cluster)
	}
	for _, n := range s.nodes.After(p.before) {
		if name != "" && n.Name != name {
			continue
		}
		node := toNode(n)
		if !p.takes(node) {
			response.NextPageToken = p.next()
			break
		}
		response.Nodes = append(response.Nodes, node)
		p.before = n.ID
	}
	return response, nil
}

// WatchNodes tells of nodes that enter, leave or change. The table bounds what waits for
// a watcher.
func (s *Service) WatchNodes(request *gatewayv1.WatchNodesRequest, stream grpc.ServerStreamingServer[gatewayv1.WatchNodesResponse]) error {
	watcher := s.nodes.Watch(watchRoom)
	defer watcher.Close()
	err := stream.SendHeader(nil) // so that the caller knows that the watch has begun
	missed := uint64(0)
	for err == nil {
		select {
		case e := <-watcher.Events():
			missed += e.Missed
			if name := request.GetName(); name == "" || e.Node.Name == name || e.Was == name {
				err = stream.Send(&gatewayv1.WatchNodesResponse{
					Time: timeOf(e.Time), Event: nodeEvents[e.Kind], Node: toNode(e.Node), Reason: e.Reason, Missed: missed,
				})
				missed = 0
			}
			// What was dropped last is told at once: the next event may be long in coming.
			if missed += watcher.Missed(); missed > 0 && err == nil {
				err = stream.Send(&gatewayv1.WatchNodesResponse{Time: timeOf(time.Now()), Missed: missed})
				missed = 0
			}
		case <-stream.Context().Done():
			return status.FromContextError(stream.Context().Err()).Err()
		case <-s.stop.Done():
			return contract.Stopping()
		}
	}
	return err
}

// nodeEvents are the kinds in the contract's words.
var nodeEvents = map[nodes.Kind]gatewayv1.NodeEvent{
	nodes.Entered: gatewayv1.NodeEvent_NODE_EVENT_ENTERED,
	nodes.Changed: gatewayv1.NodeEvent_NODE_EVENT_CHANGED,
	nodes.Left:    gatewayv1.NodeEvent_NODE_EVENT_LEFT,
}

func toNode(n *nodes.Info) *gatewayv1.Node {
	node := &gatewayv1.Node{
		Id: n.ID, Name: n.Name, Uuid: n.UUID.String(), Endpoint: n.Endpoint, Local: n.Local,
		Headers: maps.Clone(n.Headers), Entered: timeOf(n.Entered), Changed: timeOf(n.Changed),
	}
	for _, p := range n.Ports() {
		node.Ports = append(node.Ports, &gatewayv1.NodePort{Name: p.Name, Address: p.Address, Socket: p.Socket})
		delete(node.Headers, nodes.AddressHeader(p.Name))
		delete(node.Headers, nodes.SocketHeader(p.Name))
	}
	return node
}
