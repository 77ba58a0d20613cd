//go:build cgo

package native

import (
	"errors"

	zmq "github.com/pebbe/zmq4/draft"
)

// CurveKeys are what a peer needs to speak CURVE, in Z85.
type CurveKeys struct {
	// Server is the gateway's public key, which the peer has to know.
	Server string
	// Public and Secret are the peer's own.
	Public, Secret string
}

// NewCurvePair makes a pair of keys, in Z85.
func NewCurvePair() (public, secret string, err error) { return zmq.NewCurveKeypair() }

// CurvePublic is the public key that belongs to a secret one.
func CurvePublic(secret string) (string, error) {
	if len(secret) == 40 {
		if public, err := zmq.AuthCurvePublic(secret); err == nil && len(public) == 40 {
			return public, nil
		}
	}
	return "", errors.New("a CURVE key has 40 characters in Z85")
}

// DialCurve is Dial for an address that asks for CURVE.
func DialCurve(kind Kind, address string, keys CurveKeys) (*Peer, error) {
	return dial(kind, address, "", 0, &keys)
}

func (k *CurveKeys) apply(s *zmq.Socket) error {
	return s.ClientAuthCurve(k.Server, k.Public, k.Secret)
}
