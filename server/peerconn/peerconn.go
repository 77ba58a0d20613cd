// Package peerconn is how the nodes of a cluster are connected by gRPC: by few connections, of
// which each carries much.
//
// An idle connection holds no buffer of these but, in clear text, that for reading. While
// it writes it holds one of batch, and an encrypted one twice that. What it has read ahead is
// bounded by the windows.
package peerconn

import (
	"crypto/tls"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

// The windows between nodes: what a stream may send ahead is held in the other node's
// memory, as it is for clients, and a connection has many streams.
const (
	// StreamWindow bounds what is sent ahead on a stream, in bytes, besides the message that
	// is being read.
	StreamWindow = 512 << 10
	// ConnectionWindow bounds it on a connection.
	ConnectionWindow = 16 << 20
)

// batch is how many bytes are written at once where there are so many. A write into the
// network costs much beside what is in it.
const batch = 64 << 10

// Credentials secure connections between nodes by TLS; nil is for clear text.
func Credentials(c *tls.Config) credentials.TransportCredentials {
	if c == nil {
		return insecure.NewCredentials()
	}
	c = c.Clone()
	c.DynamicRecordSizingDisabled = true // nodes are no browsers that wait for the first few bytes
	return gathering{credentials.NewTLS(c)}
}

// ServerOptions are the server's for such connections.
func ServerOptions(encrypted bool) []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.StaticStreamWindowSize(StreamWindow), grpc.StaticConnWindowSize(ConnectionWindow),
		grpc.WriteBufferSize(batch), grpc.ReadBufferSize(readBuffer(encrypted)),
	}
}

// DialOptions are the client's.
func DialOptions(encrypted bool) []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithStaticStreamWindowSize(StreamWindow), grpc.WithStaticConnWindowSize(ConnectionWindow),
		grpc.WithWriteBufferSize(batch), grpc.WithReadBufferSize(readBuffer(encrypted)),
	}
}

// readBuffer is that for reading. TLS has read a record whole anyway: frames are copied right
// from there.
func readBuffer(encrypted bool) int {
	if encrypted {
		return 0
	}
	return batch
}
