//go:build cgo && libzmq

package libzmq

import (
	"maps"
	"slices"
)

// directory finds an endpoint's peers by their addresses. Most have a number,
// which is found faster than a name.
type directory struct {
	byNumber map[uint32]*peer
	byName   map[string]*peer
}

func newDirectory() directory {
	return directory{byNumber: map[uint32]*peer{}, byName: map[string]*peer{}}
}

// find returns nil where there is no peer.
func (d directory) find(a address) *peer {
	if a.name != "" {
		return d.byName[a.name]
	}
	return d.byNumber[a.number]
}

func (d directory) add(p *peer) {
	if a := p.link.address; a.name != "" {
		d.byName[a.name] = p
	} else {
		d.byNumber[a.number] = p
	}
}

func (d directory) remove(p *peer) {
	if a := p.link.address; a.name != "" {
		delete(d.byName, a.name)
	} else {
		delete(d.byNumber, a.number)
	}
}

func (d directory) all() []*peer {
	return slices.AppendSeq(slices.Collect(maps.Values(d.byNumber)), maps.Values(d.byName))
}
