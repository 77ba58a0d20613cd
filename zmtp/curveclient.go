package zmtp

import (
	"crypto/ecdh"
	"encoding/binary"

	"golang.org/x/crypto/nacl/secretbox"
)

// curveClient is CURVE's client.
type curveClient struct {
	welcomed bool
	ours     *ecdh.PrivateKey // c'
	key      *[32]byte        // c' and S, then c' and S'
}

// A client's nonces count its commands.
const (
	helloCounter    = 1
	initiateCounter = 2
)

// mayRefuse: RFC 26 forbids it.
func (*curveClient) mayRefuse() bool { return false }

func (c *curveClient) waits() string {
	if c.welcomed {
		return cmdReady
	}
	return cmdWelcome
}

// begin sends HELLO.
func (c *curveClient) begin(h *Handshake, out []byte) ([]byte, *Error) {
	c.ours = h.newKey()
	var ok bool
	if c.key, ok = boxKey(c.ours, h.config.Curve.Server[:]); !ok {
		return out, keyError("the server's key is none")
	}
	data := make([]byte, 0, helloSize)
	data = append(data, 1, 0)
	data = append(data, make([]byte, helloPadding)...)
	data = append(data, c.ours.PublicKey().Bytes()...)
	data = binary.BigEndian.AppendUint64(data, helloCounter)
	data = secretbox.Seal(data, make([]byte, 64), counted("CurveZMQHELLO---", helloCounter), c.key)
	return appendFrame(out, cmdHello, data), nil
}

func (c *curveClient) receive(h *Handshake, out, data []byte) ([]byte, *Error) {
	if c.welcomed {
		return out, c.ready(h, data)
	}
	return c.initiate(h, out, data)
}

// initiate takes WELCOME and sends INITIATE.
func (c *curveClient) initiate(h *Handshake, out, data []byte) ([]byte, *Error) {
	if len(data) != welcomeSize {
		return out, protocolError("WELCOME has the wrong size")
	}
	plain, ok := secretbox.Open(nil, data[longNonce:], nonceOf("WELCOME-", data[:longNonce]), c.key)
	if !ok {
		return out, keyError("WELCOME's box does not open: the server's key is another")
	}
	server, cookie := plain[:keySize], plain[keySize:]
	secret, err := h.config.secret()
	if err != nil {
		return out, err
	}
	var okVouch bool
	vouchKey, okVouch := boxKey(secret, server)
	if c.key, ok = boxKey(c.ours, server); !ok || !okVouch {
		return out, keyError("WELCOME has a server's key that is none")
	}
	c.welcomed, h.peer.Key = true, h.config.Curve.Server

	var long [longNonce]byte
	h.random(long[:])
	vouch := append(c.ours.PublicKey().Bytes(), h.config.Curve.Server[:]...)
	plain = append([]byte(nil), h.config.Curve.Public[:]...)
	plain = append(plain, long[:]...)
	plain = secretbox.Seal(plain, vouch, nonceOf("VOUCH---", long[:]), vouchKey)
	plain = appendProperties(plain, h.config)
	box := secretbox.Seal(nil, plain, counted("CurveZMQINITIATE", initiateCounter), c.key)
	return appendFrame(out, cmdInitiate, cookie, binary.BigEndian.AppendUint64(nil, initiateCounter), box), nil
}

// ready takes READY.
func (c *curveClient) ready(h *Handshake, data []byte) *Error {
	if len(data) < minReady {
		return protocolError("READY is too short")
	}
	counter := data[:shortNonce]
	properties, ok := secretbox.Open(nil, data[shortNonce:], nonceOf("CurveZMQREADY---", counter), c.key)
	if !ok {
		return keyError("READY's box does not open")
	}
	if err := h.admit(properties); err != nil {
		return err
	}
	h.session = newSession(c.key, "CurveZMQMESSAGEC", initiateCounter, "CurveZMQMESSAGES", binary.BigEndian.Uint64(counter))
	h.done = true
	return nil
}
