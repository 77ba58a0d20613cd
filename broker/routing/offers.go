package routing

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"sync"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/rights"
	"github.com/zioflow/gateway/broker/zio"
)

// Errors of taking an offer.
var (
	// ErrNoOffer: it was accepted, withdrawn or never made.
	ErrNoOffer = errors.New("no offer has this cid: it was accepted, withdrawn or never made")
	// ErrForeignOffer: it was made to somebody else.
	ErrForeignOffer = rights.NotAllowed(flow.DeniedCID, "the cid was offered to somebody else")
)

// Offers is the requests that are offered, by cid. The zero Offers is empty. Its methods
// may be called concurrently.
type Offers struct {
	mu    sync.Mutex
	byCID map[uint64]*Request // guarded by mu
	made  uint64              // guarded by mu
	node  uint64              // guarded by mu; in the cids' highest bits; 0 for none
}

// NodeBits is how many of a cid's bits are the number of the node that has made the offer,
// in a cluster. The others are random.
const NodeBits = 10

// cidBits is how many bits a cid has.
const cidBits = 53

// NodeOf is the number that a cid carries.
func NodeOf(cid uint64) uint16 { return uint16(cid >> (cidBits - NodeBits)) }

// SetNode has the cids of further offers carry a number.
func (o *Offers) SetNode(node uint16) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.node = uint64(node)
}

// Has tells whether an offer has this cid.
func (o *Offers) Has(cid uint64) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.byCID[cid] != nil
}

// Count is how many offers there are, and how many were made.
func (o *Offers) Count() (pending int, made uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.byCID), o.made
}

// put gives the request a fresh cid, from which nobody can tell another.
func (o *Offers) put(r *Request, owner string) uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.byCID == nil {
		o.byCID = map[uint64]*Request{}
	}
	delete(o.byCID, r.cid)
	for r.cid = 0; r.cid == 0 || o.byCID[r.cid] != nil; {
		var random [8]byte
		_, _ = rand.Read(random[:]) // never fails
		r.cid = binary.LittleEndian.Uint64(random[:]) & zio.MaxCID
		if o.node != 0 {
			const random = cidBits - NodeBits
			r.cid = o.node<<random | r.cid&(1<<random-1)
		}
	}
	o.byCID[r.cid], r.owner = r, owner
	o.made++
	return r.cid
}

// Take returns the request that was offered with this cid, once. The error is ErrNoOffer
// or, if it was offered to somebody else than name, ErrForeignOffer: then it stays as it
// is.
func (o *Offers) Take(cid zio.Number, name string) (*Request, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	r := o.find(cid)
	switch {
	case r == nil:
		return nil, ErrNoOffer
	case r.owner != "" && r.owner != name:
		return nil, ErrForeignOffer
	}
	delete(o.byCID, r.cid)
	return r, nil
}

// find returns the request that is offered with this cid; nil if there is none. mu is
// held.
func (o *Offers) find(cid zio.Number) *Request {
	if cid.Form != zio.Integer || cid.Value <= 0 {
		return nil
	}
	return o.byCID[uint64(cid.Value)]
}

// MayAccept tells whether the flow that is offered with this cid, if one is, may be
// accepted by these rights. It is asked for where messages are received: mostly the
// match was asked before the offer was made; where it was not, as for offers to
// anybody, it costs no more than reading the BOT did.
func (o *Offers) MayAccept(cid zio.Number, may rights.Rights) *flow.Error {
	o.mu.Lock()
	r := o.find(cid)
	o.mu.Unlock()
	if r == nil || may.Match == nil || r.isCleared(may.Match) {
		return nil
	}
	defer r.view.Forget()
	return may.MayHave(r.view)
}

func (o *Offers) drop(r *Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.byCID[r.cid] == r {
		delete(o.byCID, r.cid)
	}
}
