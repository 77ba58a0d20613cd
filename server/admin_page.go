package server

import (
	"encoding/base64"
	"encoding/binary"
	"hash/fnv"

	"github.com/zioflow/gateway/broker"
)

// A page has defaultPage entries unless its caller says otherwise, and never
// more than maxPage.
const (
	defaultPage = 100
	maxPage     = 1000
)

// page is a part of a listing that goes from high ids to low ones.
type page struct {
	before uint64 // only ids below that
	size   int
	query  uint32 // what the listing selects by, hashed
}

type pageRequest interface {
	GetPageSize() int32
	GetPageToken() string
}

// newPage reads what the caller wants of a listing that is selected by query.
func newPage(request pageRequest, query string) (*page, error) {
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(query)) // never fails
	p := &page{before: broker.Latest, size: int(request.GetPageSize()), query: hash.Sum32()}
	if p.size <= 0 {
		p.size = defaultPage
	}
	p.size = min(p.size, maxPage)
	token := request.GetPageToken()
	if token == "" {
		return p, nil
	}
	text, err := base64.RawURLEncoding.DecodeString(token)
	switch {
	case err != nil || len(text) != 12:
		return nil, badField("page_token", "is none that was answered here")
	case binary.BigEndian.Uint32(text[8:]) != p.query:
		return nil, badField("page_token", "belongs to a listing that selects by something else")
	}
	p.before = binary.BigEndian.Uint64(text)
	return p, nil
}

// next is the token of the page that goes on here.
func (p *page) next() string {
	text := binary.BigEndian.AppendUint64(nil, p.before)
	text = binary.BigEndian.AppendUint32(text, p.query)
	return base64.RawURLEncoding.EncodeToString(text)
}
