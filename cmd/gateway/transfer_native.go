package main

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/zioflow/gateway/broker/zio"
	"github.com/zioflow/gateway/internal/native"
)

const (
	nativeClient = native.Client
	nativeDealer = native.Dealer
)

// nativeTransfer is a transfer on a ZeroMQ socket.
type nativeTransfer struct {
	flow *native.Flow
	peer *native.Peer
}

func openNative(c *transferFlags, kind native.Kind, address string, direction zio.Direction, attributes map[string]any) (transfer, error) {
	text, err := json.Marshal(attributes)
	if err != nil {
		return nil, err
	}
	if text, err = zio.Edit(text, zio.Member{Key: "flow", Value: []byte(`"BOT"`)}); err != nil {
		return nil, err
	}
	label, err := zio.RewriteBot(text, direction, c.Credit, c.CID)
	if err != nil {
		return nil, err
	}
	peer, err := native.Dial(kind, address, "")
	if err != nil {
		return nil, err
	}
	f, err := native.Open(peer, 0, label, nil, c.Timeout)
	if err != nil {
		return nil, errors.Join(err, peer.Close(0))
	}
	return &nativeTransfer{f, peer}, nil
}

func (t *nativeTransfer) give(payload []byte) error {
	return t.flow.Put([]byte(`{"flow":"DAT"}`), [][]byte{payload})
}

func (t *nativeTransfer) take() (int, error) {
	m, err := t.flow.Get()
	if err != nil {
		return 0, err
	}
	return m.Size(), nil
}

func (t *nativeTransfer) close() error {
	// Without the flush the last EOT could be lost with the process.
	return errors.Join(t.flow.Close(), t.peer.Close(2*time.Second), native.Flush())
}
