package admin

import (
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"sync"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/zioflow/gateway/broker/transport"
	gatewayv1 "github.com/zioflow/gateway/gen/go/zio/gateway/v1"
	"github.com/zioflow/gateway/internal/text"
	"github.com/zioflow/gateway/server/contract"
)

// patience is how long another node may take to answer an operator's call, reloadPatience one
// that has it read its configuration, which may be a program's.
const (
	patience       = time.Second
	reloadPatience = 5 * time.Second
)

// askedAtOnce bounds how many nodes are asked at a time, and so what their answers hold.
const askedAtOnce = 16

// View is a Service that has the other nodes of the gateway's cluster show and do their part:
// what the gateway itself serves operators. A node serves the others its Service alone, so
// that nothing is asked on.
type View struct {
	*Service
}

// node is a node of the cluster.
type node struct {
	id, name string
	conn     grpc.ClientConnInterface // nil for this one
	wrong    string                   // why there is no connection
}

func (n *node) self() bool { return n.conn == nil && n.wrong == "" }

// order is that of nodes in lists.
func order(a, b node) int { return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.id, b.id)) }

// cluster is all nodes, in their order; none without a cluster.
func (s *Service) cluster() []node {
	c := s.process.Status().Cluster
	if c == nil {
		return nil
	}
	all := []node{{id: c.Self.ID, name: c.Self.Name}}
	for _, other := range c.Nodes {
		n := node{id: other.ID, name: other.Name, wrong: "it is not connected"}
		if c.Conn != nil {
			if n.conn = c.Conn(other.ID); n.conn != nil {
				n.wrong = ""
			}
		}
		all = append(all, n)
	}
	slices.SortFunc(all, order)
	return all
}

// named are the nodes of that name, or of that id; all if it is empty. The error is NOT_FOUND.
func named(all []node, name string) ([]node, error) {
	if name == "" {
		return all, nil
	}
	found := slices.DeleteFunc(slices.Clone(all), func(n node) bool { return n.name != name && n.id != name })
	if len(found) > 0 {
		return found, nil
	}
	problem := fmt.Sprintf("there is no node %s in the cluster, or it has left", text.Printable(name))
	if len(all) == 0 {
		problem = "the gateway is in no cluster: it has no nodes"
	}
	return nil, contract.WithDetails(status.New(codes.NotFound, problem), &errdetails.ResourceInfo{
		ResourceType: "node", ResourceName: text.Printable(name), Description: problem,
	})
}

// one is the node of that name, the gateway's own if that is empty.
func (s *Service) one(name string) (node, error) {
	if name == "" {
		return node{}, nil
	}
	found, err := named(s.cluster(), name)
	switch {
	case err != nil:
		return node{}, err
	case len(found) > 1:
		return node{}, contract.BadField("node", "%s is the name of %d nodes: name one by its id", text.Printable(name), len(found))
	case found[0].wrong != "":
		return node{}, unavailable(found[0], found[0].wrong)
	}
	return found[0], nil
}

func unavailable(n node, why string) error {
	return status.Error(codes.Unavailable, fmt.Sprintf("node %s does not answer: %s", n.name, why))
}

// Keys of the metadata by which a node tells another for whom it asks.
const (
	callerName    = "zio-operator-name-bin"
	callerAddress = "zio-operator-address-bin"
	callerNode    = "zio-operator-node-bin"
)

// asking is the context for a call to another node on behalf of who makes this one.
func (s *Service) asking(ctx context.Context) context.Context {
	by := s.caller(ctx)
	return metadata.AppendToOutgoingContext(ctx, callerName, by.Name, callerAddress, by.Address, callerNode, s.ownName())
}

// Operator is who makes a call that another node has passed on: a Caller for what nodes ask
// of each other.
func Operator(ctx context.Context) transport.PeerInfo {
	value := func(key string) string {
		if values := metadata.ValueFromIncomingContext(ctx, key); len(values) > 0 {
			return text.Name(values[0])
		}
		return ""
	}
	return transport.PeerInfo{Transport: "grpc", Address: value(callerAddress), Name: value(callerName), Node: value(callerNode)}
}

// single has the node of that name do a call, or this one.
func single[Q, R any](ctx context.Context, v *View, name string, request Q, here func(context.Context, Q) (R, error),
	there func(gatewayv1.AdminServiceClient, context.Context, Q, ...grpc.CallOption) (R, error),
) (R, error) {
	return within(ctx, v, patience, name, request, here, there)
}

// within is single for a call that may take that long.
func within[Q, R any](ctx context.Context, v *View, most time.Duration, name string, request Q, here func(context.Context, Q) (R, error),
	there func(gatewayv1.AdminServiceClient, context.Context, Q, ...grpc.CallOption) (R, error),
) (R, error) {
	n, err := v.one(name)
	if err != nil {
		var none R
		return none, err
	}
	if n.self() {
		return here(ctx, request)
	}
	limited, cancel := context.WithTimeout(v.asking(ctx), most)
	defer cancel()
	response, err := there(gatewayv1.NewAdminServiceClient(n.conn), limited, request)
	if why := silence(limited, most, err); why != "" && ctx.Err() == nil {
		err = unavailable(n, why)
	}
	return response, err
}

// silence says why a node has not answered within that time; empty if it has.
func silence(ctx context.Context, within time.Duration, err error) string {
	switch code := status.Code(err); {
	case err == nil:
		return ""
	case code == codes.DeadlineExceeded || ctx.Err() != nil:
		return fmt.Sprintf("nothing has come within %v", within)
	case code == codes.PermissionDenied: // the operator may: that was asked here
		return "it lets no other node do this, as it is of an earlier version"
	case code == codes.Unavailable || code == codes.Canceled || code == codes.Unimplemented || code == codes.Internal || code == codes.Unknown:
		return text.Detail(status.Convert(err).Message())
	}
	return ""
}

// answer is what a node has said.
type answer[R any] struct {
	response R
	err      error
	silent   string // why it has not answered
}

// ask makes a call to nodes at once: to each its own request, by its place among them.
func ask[Q, R any](ctx context.Context, s *Service, nodes []node, request func(i int) Q, here func(context.Context, Q) (R, error),
	there func(gatewayv1.AdminServiceClient, context.Context, Q, ...grpc.CallOption) (R, error),
) []answer[R] {
	answers := make([]answer[R], len(nodes))
	limited, cancel := context.WithTimeout(s.asking(ctx), patience)
	defer cancel()
	var asking sync.WaitGroup
	for i, n := range nodes {
		a := &answers[i]
		asking.Go(func() {
			switch {
			case n.wrong != "":
				a.silent = n.wrong
			case n.self():
				a.response, a.err = here(ctx, request(i))
			default:
				a.response, a.err = there(gatewayv1.NewAdminServiceClient(n.conn), limited, request(i))
				a.silent = silence(limited, patience, a.err)
			}
		})
	}
	asking.Wait()
	return answers
}

// mark has an entry say at which node it is.
func mark(entry proto.Message, name string) {
	switch entry := entry.(type) {
	case *gatewayv1.Flow:
		entry.Node = name
	case *gatewayv1.ConnectedPeer:
		entry.Node = name
	}
}

// at is the token of the page that goes on at a node, there with its own.
func at(n node, inner string) string {
	return inner + "." + base64.RawURLEncoding.EncodeToString([]byte(n.id+"\x00"+n.name))
}

// behind are the nodes of which not all that they have is known.
func behind(c *Cluster) (all []*gatewayv1.Unreachable) {
	if c == nil {
		return nil
	}
	for _, n := range c.Nodes {
		if !n.Current {
			all = append(all, &gatewayv1.Unreachable{Node: n.Name, NodeId: n.ID, Reason: "not all that it has said of its listeners and routes has come yet"})
		}
	}
	return all
}
