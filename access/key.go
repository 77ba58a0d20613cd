package access

import (
	"crypto/ecdh"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// CurveKey is a CURVE public key.
type CurveKey [32]byte

// z85Digits are those of ZeroMQ's RFC 32.
const z85Digits = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"

// ParseCurveKey reads a key of 40 characters in Z85.
func ParseCurveKey(text string) (key CurveKey, err error) {
	if len(text) != 40 {
		return key, fmt.Errorf("a CURVE key has 40 characters in Z85, not %d", len(text))
	}
	for i := range 8 {
		var group uint64
		for _, c := range []byte(text[5*i : 5*i+5]) {
			digit := strings.IndexByte(z85Digits, c)
			if digit < 0 {
				return key, fmt.Errorf("%q is no Z85 character", c)
			}
			group = 85*group + uint64(digit)
		}
		if group > 0xffffffff {
			return key, errors.New("is not Z85")
		}
		binary.BigEndian.PutUint32(key[4*i:], uint32(group))
	}
	return key, nil
}

// String is the key in Z85.
func (k CurveKey) String() string {
	text := make([]byte, 0, 40)
	for i := range 8 {
		group := binary.BigEndian.Uint32(k[4*i:])
		for _, power := range [...]uint32{85 * 85 * 85 * 85, 85 * 85 * 85, 85 * 85, 85, 1} {
			text = append(text, z85Digits[group/power%85])
		}
	}
	return string(text)
}

// NewCurveKeys makes a pair of keys.
func NewCurveKeys() (public, secret CurveKey) {
	_, _ = rand.Read(secret[:]) // never fails
	public, err := secret.Public()
	if err != nil {
		panic(err) // no such number is a key that curve25519 refuses
	}
	return public, secret
}

// Public is the public key that belongs to a secret one.
func (k CurveKey) Public() (public CurveKey, err error) {
	secret, err := ecdh.X25519().NewPrivateKey(k[:])
	if err != nil {
		return public, err
	}
	return CurveKey(secret.PublicKey().Bytes()), nil
}

// tokenHash is the SHA-256 of a bearer token. A token has as much chance as a
// key, so needs no slow hash.
type tokenHash [sha256.Size]byte

// NewToken makes a bearer token of 256 bits of chance, and the hash under which
// the identities file knows it.
func NewToken() (token, hash string) {
	var random [32]byte
	_, _ = rand.Read(random[:]) // never fails
	token = base64.RawURLEncoding.EncodeToString(random[:])
	return token, HashToken(token)
}

// HashToken is a token's SHA-256 in hex.
func HashToken(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

func parseTokenHash(text string) (hash tokenHash, err error) {
	if len(text) != 2*len(hash) {
		return hash, fmt.Errorf("a SHA-256 has %d hex digits, not %d", 2*len(hash), len(text))
	}
	_, err = hex.Decode(hash[:], []byte(text))
	return hash, err
}
