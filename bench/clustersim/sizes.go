package clustersim

import (
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/zioflow/gateway/cluster/members"
	"github.com/zioflow/gateway/cluster/wire"
)

// What a node and a listener look like: as in a site of some size.
func beat(i int, id members.ID) members.Beat {
	return members.Beat{
		ID: id, Name: fmt.Sprintf("gateway-%d.site.example", i), Version: "1.12.3", Started: time.Unix(1_000_000, 123_456_789),
		Address: fmt.Sprintf("10.20.%d.%d:7578", i/250, i%250+1),
	}
}

func listener(i, n int) members.Listener {
	name := fmt.Sprintf("stage-%d", n%50)
	return members.Listener{
		ID: uint64(n + 1), Name: name, Match: fmt.Sprintf("attributes.stream == %q", name), MaxFlows: 100,
		Transport: "grpc", Address: fmt.Sprintf("10.30.%d.%d:%d", i/250, i%250+1, 32768+n), Identity: "handlers", Holder: fmt.Sprintf("python-%d", n),
	}
}

// frame is what NATS puts around a message between two servers: "RMSG $G SUBJECT SIZE\r\n"
// and "\r\n" after it, with a cluster's name of six letters and a subject as the gateway's.
const frame = uint64(len("RMSG $G zio.lab123.table.  1234\r\n\r\n")) + 26

// grpcFrame is about what HTTP/2 and gRPC put around a table: headers both ways, a message's
// own head, trailers.
const grpcFrame = 150

func beatSize(b members.Beat) uint64 { return frame + uint64(proto.Size(wire.FromBeat(b))) }

func changeSize(c members.Change) uint64 { return frame + uint64(proto.Size(wire.FromChange(c))) }

// tableSize is that of a table in all its parts.
func tableSize(t members.Table) (size uint64) {
	for _, part := range wire.FromTable(t) {
		size += uint64(proto.Size(part))
	}
	return grpcFrame + size
}

// copied is a listener with texts of its own, as it comes from the network.
func copied(l members.Listener) members.Listener {
	for _, text := range []*string{&l.Name, &l.Match, &l.Transport, &l.Address, &l.Identity, &l.Holder} {
		*text = strings.Clone(*text)
	}
	return l
}
