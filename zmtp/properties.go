package zmtp

import (
	"encoding/binary"
	"strings"
)

// The properties of READY and INITIATE (RFC 23): name with a length of one
// byte, value with a length of four. Names are compared without case.
const (
	propSocketType = "Socket-Type"
	propIdentity   = "Identity"
)

// maxSocketType bounds a peer's socket type; the longest that is in use has
// seven letters.
const maxSocketType = 16

func appendProperties(b []byte, c *Config) []byte {
	b = appendProperty(b, propSocketType, string(c.Type))
	if c.Identity != "" {
		b = appendProperty(b, propIdentity, c.Identity)
	}
	return b
}

func appendProperty(b []byte, name, value string) []byte {
	b = append(b, byte(len(name)))
	b = append(b, name...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(value)))
	return append(b, value...)
}

// parseProperties keeps the socket type and the identity. Other properties are
// checked and dropped. One of the two that stands twice is an error, so that
// nobody has to guess which of them another implementation has used.
func parseProperties(b []byte, peer *Peer) *Error {
	var typed, named bool
	for len(b) > 0 {
		name, value, rest, err := nextProperty(b)
		if err != nil {
			return err
		}
		switch b = rest; {
		case strings.EqualFold(string(name), propSocketType):
			if typed {
				return protocolError("the peer sends Socket-Type twice")
			}
			if len(value) > maxSocketType {
				return protocolError("the peer's Socket-Type is too long: " + quote(value))
			}
			typed, peer.Type = true, SocketType(value)
		case strings.EqualFold(string(name), propIdentity):
			if named {
				return protocolError("the peer sends Identity twice")
			}
			if len(value) > MaxIdentity {
				return protocolError("the peer's Identity is too long: " + quote(value))
			}
			named, peer.Identity = true, string(value)
		}
	}
	return nil
}

// nextProperty takes one property off b.
func nextProperty(b []byte) (name, value, rest []byte, err *Error) {
	n := int(b[0])
	if n == 0 || len(b) < 1+n+4 {
		return nil, nil, nil, protocolError("a property's name is empty or cut off")
	}
	name, b = b[1:1+n], b[1+n:]
	for _, c := range name {
		if !propertyName(c) {
			return nil, nil, nil, protocolError("a property's name is malformed: " + quote(name))
		}
	}
	size := binary.BigEndian.Uint32(b)
	if uint64(size) > uint64(len(b)-4) {
		return nil, nil, nil, protocolError("the value of the property " + quote(name) + " is cut off")
	}
	return name, b[4 : 4+size], b[4+size:], nil
}

// propertyName tells whether a name may have c.
func propertyName(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		c == '-' || c == '_' || c == '.' || c == '+'
}
