package cluster

import (
	"crypto/tls"
	"log/slog"
	"sync"

	"github.com/zioflow/gateway/cluster/members"
	"github.com/zioflow/gateway/internal/logs"
)

// home is what whatever this node has to do with others needs of it. Its fields are set before
// it is used; what they hold may be used concurrently.
type home struct {
	options  Options
	log      *slog.Logger
	lines    *logs.Sampler // what flows cause
	self     members.ID
	secure   *tls.Config // nil for clear text
	lives    *lives
	matches  *matches
	compiler *compiler
	over     <-chan struct{} // closed when the loop is to end
	carrying sync.WaitGroup  // flows that are carried to others
	counts   counts
}
