package admin

import (
	"encoding/base64"
	"encoding/binary"
	"hash/fnv"
	"math"

	"google.golang.org/protobuf/proto"

	"github.com/zioflow/gateway/broker"
	"github.com/zioflow/gateway/server/contract"
)

// A page has defaultPage entries unless its caller says otherwise, never more than
// maxPage, and with its last one no more bytes than maxPageBytes: clients take 4 MiB
// of a message, and some less.
const (
	defaultPage  = 100
	maxPage      = 1000
	maxPageBytes = 1<<20 - 1<<10
)

// page is a part of a listing that goes by ids.
type page struct {
	before uint64 // only ids below that; in a listing that goes upwards, above
	size   int
	query  uint32 // what the listing selects by, hashed
	taken  int    // entries
	bytes  int    // of them
}

// newUpwardPage is newPage for a listing that goes from low ids to high ones. Unless
// its caller says otherwise, a page has as many entries as its bytes allow.
func newUpwardPage(request pageRequest, query string) (*page, error) {
	p, err := newPage(request, query)
	if err != nil {
		return nil, err
	}
	if request.GetPageSize() <= 0 {
		p.size = math.MaxInt
	}
	if request.GetPageToken() == "" {
		p.before = 0
	}
	return p, nil
}

// takes tells whether the page has room for another entry, and counts it. The first
// one it takes in any case.
func (p *page) takes(entry proto.Message) bool {
	size := proto.Size(entry) + 8 // with its head
	if p.taken > 0 && (p.taken == p.size || p.bytes+size > maxPageBytes) {
		return false
	}
	p.taken++
	p.bytes += size
	return true
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
		return nil, contract.BadField("page_token", "is none that was answered here")
	case binary.BigEndian.Uint32(text[8:]) != p.query:
		return nil, contract.BadField("page_token", "belongs to a listing that selects by something else")
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
