// Command peer is a ZeroMQ peer on go-zeromq/zmq4: see ../README.md.
package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-zeromq/zmq4"
)

func main() {
	log.SetFlags(0)
	config := map[string]string{}
	for _, word := range os.Args[1:] {
		name, value, _ := strings.Cut(word, "=")
		config[name] = value
	}
	if err := run(config); err != nil {
		log.Fatal(err)
	}
}

func run(config map[string]string) error {
	if config["socket"] != "dealer" || config["server"] != "" || config["heartbeat"] != "" {
		return fmt.Errorf("this library has only a DEALER with NULL: %v", config)
	}
	p := &peer{config: config}
	p.connect()
	inwards, outwards := make(chan error, 1), make(chan error, 1)
	go func() { inwards <- p.receive() }()
	go func() { outwards <- p.send() }()
	select {
	case err := <-inwards:
		return err
	case err := <-outwards:
		return err
	}
}

// peer is a DEALER that connects again when it has lost its connection. The library's
// own way of doing that can wait for itself, when it is the sender that notices.
type peer struct {
	config map[string]string
	socket atomic.Pointer[zmq4.Socket]
}

// connect tries until it has a connection.
func (p *peer) connect() {
	const pause = 20 * time.Millisecond
	options := []zmq4.Option{
		zmq4.WithDialerMaxRetries(-1), zmq4.WithDialerRetry(pause),
		zmq4.WithLogger(log.New(io.Discard, "", 0)), // it logs that a connection was lost
	}
	if identity := p.config["identity"]; identity != "" {
		options = append(options, zmq4.WithID(zmq4.SocketIdentity(identity)))
	}
	for {
		socket := zmq4.NewDealer(context.Background(), options...)
		if err := socket.Dial(p.config["address"]); err == nil {
			p.socket.Store(&socket)
			return
		}
		_ = socket.Close() // its handshake has failed, which Dial does not try again
		time.Sleep(pause)
	}
}

// send sends what the input has, to its end. What goes into a lost connection is lost.
func (p *peer) send() error {
	in := bufio.NewReader(os.Stdin)
	for {
		parts, err := readMessage(in)
		if errors.Is(err, io.EOF) {
			_ = (*p.socket.Load()).Close() // all was written; what it closes twice is an error
			return nil
		}
		if err != nil {
			return err
		}
		_ = (*p.socket.Load()).SendMulti(zmq4.NewMsgFrom(parts...))
	}
}

func readMessage(in io.Reader) ([][]byte, error) {
	count, err := readNumber(in)
	if err != nil {
		return nil, err
	}
	parts := make([][]byte, count)
	for i := range parts {
		size, err := readNumber(in)
		if err != nil {
			return nil, err
		}
		parts[i] = make([]byte, size)
		if _, err := io.ReadFull(in, parts[i]); err != nil {
			return nil, err
		}
	}
	return parts, nil
}

func readNumber(in io.Reader) (uint32, error) {
	var b [4]byte
	_, err := io.ReadFull(in, b[:])
	return binary.BigEndian.Uint32(b[:]), err
}

// receive writes what the socket has.
func (p *peer) receive() error {
	out := bufio.NewWriter(os.Stdout)
	for {
		message, err := (*p.socket.Load()).Recv()
		if err != nil { // the connection was lost
			_ = (*p.socket.Load()).Close()
			p.connect()
			continue
		}
		_, _ = out.Write(binary.BigEndian.AppendUint32(nil, uint32(len(message.Frames)))) // Flush returns its error
		for _, part := range message.Frames {
			_, _ = out.Write(binary.BigEndian.AppendUint32(nil, uint32(len(part))))
			_, _ = out.Write(part)
		}
		if err := out.Flush(); err != nil {
			return err
		}
	}
}
