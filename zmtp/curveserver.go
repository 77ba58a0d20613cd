package zmtp

import (
	"crypto/ecdh"
	"crypto/subtle"
	"encoding/binary"

	"golang.org/x/crypto/nacl/secretbox"
)

// curveServer is CURVE's server.
//
// RFC 26 has the server forget s' between WELCOME and INITIATE and get it back
// out of the cookie. A connection has a state here anyway, so s' stays in it,
// and the cookie is random bytes that the client has to return.
type curveServer struct {
	welcomed bool
	theirs   [keySize]byte    // C'
	ours     *ecdh.PrivateKey // s'
	cookie   [cookieSize]byte
	hello    uint64 // HELLO's nonce
}

func (*curveServer) begin(_ *Handshake, out []byte) ([]byte, *Error) { return out, nil }

func (*curveServer) mayRefuse() bool { return true }

func (s *curveServer) waits() string {
	if s.welcomed {
		return cmdInitiate
	}
	return cmdHello
}

func (s *curveServer) receive(h *Handshake, out, data []byte) ([]byte, *Error) {
	if s.welcomed {
		return s.initiate(h, out, data)
	}
	return s.greet(h, out, data)
}

// greet takes HELLO and sends WELCOME. It costs two multiplications, of which
// the second is for those only who know S.
func (s *curveServer) greet(h *Handshake, out, data []byte) ([]byte, *Error) {
	if len(data) != helloSize {
		return out, protocolError("HELLO has the wrong size")
	}
	version, data := data[:2], data[2:]
	padding, data := data[:helloPadding], data[helloPadding:]
	client, data := data[:keySize], data[keySize:]
	counter, box := data[:shortNonce], data[shortNonce:]
	if version[0] != 1 || version[1] != 0 {
		return out, protocolError("HELLO has a version of CURVE that is not 1.0")
	}
	if [helloPadding]byte(padding) != [helloPadding]byte{} {
		return out, protocolError("HELLO's padding is not zero")
	}
	secret, err := h.config.secret()
	if err != nil {
		return out, err
	}
	key, ok := boxKey(secret, client)
	if !ok {
		return out, keyError("HELLO has a client's key that is none")
	}
	zeros, ok := secretbox.Open(nil, box, nonceOf("CurveZMQHELLO---", counter), key)
	if !ok {
		return out, keyError("HELLO's box does not open: the peer does not know our key")
	}
	if [64]byte(zeros) != [64]byte{} {
		return out, protocolError("HELLO's box does not hold zeros")
	}
	s.welcomed, s.theirs, s.hello = true, [keySize]byte(client), binary.BigEndian.Uint64(counter)
	s.ours = h.newKey()
	h.random(s.cookie[:])
	var long [longNonce]byte
	h.random(long[:])
	plain := append(s.ours.PublicKey().Bytes(), s.cookie[:]...)
	welcome := secretbox.Seal(nil, plain, nonceOf("WELCOME-", long[:]), key)
	return appendFrame(out, cmdWelcome, long[:], welcome), nil
}

// initiate takes INITIATE and sends READY. It costs two multiplications, of
// which the second, for the vouch, comes after all that is cheaper.
func (s *curveServer) initiate(h *Handshake, out, data []byte) ([]byte, *Error) {
	if len(data) < minInitiate {
		return out, protocolError("INITIATE is too short")
	}
	cookie, data := data[:cookieSize], data[cookieSize:]
	counter, box := data[:shortNonce], data[shortNonce:]
	if subtle.ConstantTimeCompare(cookie, s.cookie[:]) == 0 {
		return out, protocolError("INITIATE does not return WELCOME's cookie")
	}
	if binary.BigEndian.Uint64(counter) <= s.hello {
		return out, protocolError("INITIATE's nonce has not grown")
	}
	key, ok := boxKey(s.ours, s.theirs[:])
	if !ok {
		return out, keyError("HELLO has a client's key that is none")
	}
	plain, ok := secretbox.Open(nil, box, nonceOf("CurveZMQINITIATE", counter), key)
	if !ok {
		return out, keyError("INITIATE's box does not open")
	}
	client, plain := plain[:keySize], plain[keySize:]
	vouch, properties := plain[:vouchSize], plain[vouchSize:]
	if err := h.admit(properties); err != nil {
		return out, err
	}
	if err := s.checkVouch(h, client, vouch); err != nil {
		return out, err
	}
	h.peer.Key = [keySize]byte(client)
	if err := h.authorize(); err != nil {
		return out, err
	}
	ready := secretbox.Seal(nil, appendProperties(nil, h.config), counted("CurveZMQREADY---", 1), key)
	out = appendFrame(out, cmdReady, binary.BigEndian.AppendUint64(nil, 1), ready)
	h.session = newSession(key, "CurveZMQMESSAGES", 1, "CurveZMQMESSAGEC", binary.BigEndian.Uint64(counter))
	h.done = true
	return out, nil
}

// checkVouch proves that the client has C's secret key, and that it means this
// connection and this server.
func (s *curveServer) checkVouch(h *Handshake, client, vouch []byte) *Error {
	key, ok := boxKey(s.ours, client)
	if !ok {
		return keyError("INITIATE has a client's key that is none")
	}
	keys, ok := secretbox.Open(nil, vouch[longNonce:], nonceOf("VOUCH---", vouch[:longNonce]), key)
	if !ok {
		return keyError("INITIATE's vouch does not open: the peer does not have the key that it shows")
	}
	if [keySize]byte(keys) != s.theirs || [keySize]byte(keys[keySize:]) != h.config.Curve.Public {
		return keyError("INITIATE's vouch is for another connection")
	}
	return nil
}
