package cluster

import (
	"hash/fnv"
	"slices"
	"sync"

	"google.golang.org/grpc"

	"github.com/zioflow/gateway/broker/routing"
	"github.com/zioflow/gateway/cluster/members"
)

// numberOf is the number that a node's cids carry. Everybody knows it who knows the node. Two
// may have the same: then both are asked for a cid that carries it.
func numberOf(id members.ID) uint16 {
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(id)) // never fails
	return uint16(1 + hash.Sum32()%(1<<routing.NodeBits-1))
}

// numbers are the other nodes by the numbers of their cids. Its methods may be called
// concurrently.
type numbers struct {
	mu    sync.Mutex
	nodes map[uint16][]*remote // guarded by mu; the lists are replaced whole
}

func (k *numbers) add(m *remote) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.nodes == nil {
		k.nodes = map[uint16][]*remote{}
	}
	n := numberOf(m.id)
	k.nodes[n] = append(slices.Clone(k.nodes[n]), m)
}

func (k *numbers) remove(m *remote) {
	k.mu.Lock()
	defer k.mu.Unlock()
	n := numberOf(m.id)
	k.nodes[n] = slices.DeleteFunc(slices.Clone(k.nodes[n]), func(other *remote) bool { return other == m })
	if len(k.nodes[n]) == 0 {
		delete(k.nodes, n)
	}
}

// of are those that can have made the offer of a cid.
func (k *numbers) of(cid uint64) []*remote {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.nodes[routing.NodeOf(cid)]
}

// conn is the connection to a node; nil if there is none.
func (k *numbers) conn(id members.ID) grpc.ClientConnInterface {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, m := range k.nodes[numberOf(id)] {
		if m.id == id && m.conn != nil {
			return m.conn
		}
	}
	return nil
}
