//go:build soak

package soak

import (
	"bytes"
	"errors"
	"net"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// h2 is an HTTP/2 connection that does as it is told, whatever a gRPC client
// would think of that.
type h2 struct {
	conn   *net.TCPConn
	reader sync.WaitGroup

	mu     sync.Mutex
	framer *http2.Framer // guarded by mu, for writing
	header *hpack.Encoder
	block  bytes.Buffer // guarded by mu
	last   uint32       // guarded by mu; stream id
}

func dialH2(address string, from int) (*h2, error) {
	conn, err := rawDial(address, from)
	if err != nil {
		return nil, err
	}
	h := &h2{conn: conn, framer: http2.NewFramer(conn, conn)}
	h.header = hpack.NewEncoder(&h.block)
	if err := conn.SetWriteDeadline(time.Now().Add(time.Minute)); err != nil {
		return nil, err
	}
	_, err = conn.Write([]byte(http2.ClientPreface))
	if err := errors.Join(err, h.framer.WriteSettings()); err != nil {
		_ = conn.Close()
		return nil, err
	}
	h.reader.Go(h.read)
	return h, nil
}

// read answers what has to be answered, until the connection ends.
func (h *h2) read() {
	for {
		frame, err := h.framer.ReadFrame()
		if err != nil {
			return
		}
		switch f := frame.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				_ = h.write(func() error { return h.framer.WriteSettingsAck() })
			}
		case *http2.PingFrame:
			if !f.IsAck() {
				_ = h.write(func() error { return h.framer.WritePing(true, f.Data) })
			}
		}
	}
}

func (h *h2) write(f func() error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return f()
}

// open begins an Open stream, with a further header of that size unless 0.
func (h *h2) open(headerSize int) (id uint32, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.block.Reset()
	fields := [][2]string{
		{":method", "POST"}, {":scheme", "http"}, {":path", "/zio.gateway.v1.FlowService/Open"},
		{":authority", "soak"}, {"content-type", "application/grpc"}, {"te", "trailers"},
	}
	if headerSize > 0 {
		fields = append(fields, [2]string{"x-giant", string(bytes.Repeat([]byte("~"), headerSize))})
	}
	for _, f := range fields {
		if err := h.header.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]}); err != nil {
			return 0, err
		}
	}
	if h.last++; h.last%2 == 0 {
		h.last++
	}
	const most = 16 << 10
	block := h.block.Bytes()
	first := block[:min(most, len(block))]
	block = block[len(first):]
	err = h.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: h.last, BlockFragment: first, EndHeaders: len(block) == 0})
	for err == nil && len(block) > 0 {
		part := block[:min(most, len(block))]
		block = block[len(part):]
		err = h.framer.WriteContinuation(h.last, len(block) == 0, part)
	}
	return h.last, err
}

func (h *h2) reset(id uint32) error {
	return h.write(func() error { return h.framer.WriteRSTStream(id, http2.ErrCodeCancel) })
}

func (h *h2) data(id uint32, b []byte) error {
	return h.write(func() error { return h.framer.WriteData(id, false, b) })
}

func (h *h2) close() {
	_ = h.conn.SetLinger(0)
	_ = h.conn.Close()
	h.reader.Wait()
}
