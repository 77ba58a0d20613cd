package zmtp

import (
	"crypto/ecdh"
	"crypto/subtle"
	"errors"
	"fmt"
)

// MaxIdentity is the size of the longest identity (RFC 23).
const MaxIdentity = 255

// Config is one end of connections. Handshakes of several goroutines may share
// it, so nothing in it may change once the first has begun.
type Config struct {
	Type     SocketType
	Identity string // sent in READY if it is not empty; at most MaxIdentity bytes
	// AsServer says that this end listens. It takes CURVE's server role, and
	// waits for the peer's READY before it sends its own, so that it can refuse
	// instead. At least one end of a connection must not be AsServer.
	AsServer bool
	Curve    *CurveKeys // nil: NULL
	// Authorize is called on the end that is AsServer, once the peer's socket
	// type, identity and key are known and proved and before it is sent READY.
	// An error refuses the peer, with an ERROR command that has Reason(err), or
	// without one if it wraps ErrTryLater. It is called by Receive, by whoever
	// calls that. May be nil.
	Authorize func(*Peer) error

	parsed *ecdh.PrivateKey // Curve.Secret, by Validate
}

// ErrTryLater is for errors of Authorize that may soon be over. The peer is sent
// no ERROR, which is final (RFC 37): libzmq never connects again after one. A
// connection that is only closed it makes anew.
var ErrTryLater = errors.New("try later")

// CurveKeys are the long-term keys of one end. Public belongs to Secret; Server
// is the server's public key, which only a client needs.
type CurveKeys struct {
	Public, Secret, Server [32]byte
}

// Validate says what in c a handshake cannot work with. It also prepares the
// keys, which saves every handshake a part of its work, so it is called before
// c is shared.
func (c *Config) Validate() error {
	switch {
	case !c.Type.known():
		return fmt.Errorf("zmtp: socket type %s is not supported", quote(string(c.Type)))
	case len(c.Identity) > MaxIdentity:
		return fmt.Errorf("zmtp: an identity has %d bytes, more than %d", len(c.Identity), MaxIdentity)
	case c.Curve == nil:
		return nil
	}
	secret, err := ecdh.X25519().NewPrivateKey(c.Curve.Secret[:])
	if err != nil {
		return fmt.Errorf("zmtp: the secret key: %w", err)
	}
	c.parsed = secret
	if subtle.ConstantTimeCompare(secret.PublicKey().Bytes(), c.Curve.Public[:]) == 0 {
		return errors.New("zmtp: the public key does not belong to the secret key")
	}
	if c.AsServer {
		return nil
	}
	if c.Curve.Server == [32]byte{} {
		return errors.New("zmtp: a CURVE client needs the server's public key")
	}
	if _, ok := boxKey(secret, c.Curve.Server[:]); !ok {
		return errors.New("zmtp: the server's public key is none")
	}
	return nil
}

// secret is Curve.Secret.
func (c *Config) secret() (*ecdh.PrivateKey, *Error) {
	if c.parsed != nil && subtle.ConstantTimeCompare(c.parsed.Bytes(), c.Curve.Secret[:]) == 1 {
		return c.parsed, nil
	}
	secret, err := ecdh.X25519().NewPrivateKey(c.Curve.Secret[:])
	if err != nil {
		return nil, keyError("our secret key is none")
	}
	return secret, nil
}

func (t SocketType) known() bool {
	switch t {
	case Client, Server, Dealer, Router, Req, Rep:
		return true
	}
	return false
}

func (c *Config) mechanism() Mechanism {
	if c.Curve != nil {
		return Curve
	}
	return Null
}
