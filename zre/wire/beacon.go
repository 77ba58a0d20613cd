package wire

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
)

// UUID names a node for as long as that runs.
type UUID [16]byte

// String is 32 hexadecimal digits, as other nodes print it.
func (u UUID) String() string { return hex.EncodeToString(u[:]) }

// Beacon tells that a node is there.
type Beacon struct {
	UUID UUID
	// Port is where its inbox listens, at the address from which the beacon comes; 0
	// when it leaves.
	Port uint16
}

// BeaconPort is the UDP port that beacons are sent to.
const BeaconPort = 5670

// beaconSize is the size of a beacon of version 1, which is that of ZRE's version 2.
const (
	beaconSize    = 22
	beaconVersion = 1
)

// MaxBeacon is how much of a datagram has to be read: more than any beacon has.
const MaxBeacon = 64

var beaconHead = []byte{'Z', 'R', 'E'}

// Why a beacon is none (PEER-6).
var (
	ErrBeacon        = errors.New("this is no beacon")
	ErrBeaconVersion = errors.New("the beacon has another version than 1")
)

// Append appends the beacon.
func (b Beacon) Append(to []byte) []byte {
	to = append(to, beaconHead...)
	to = append(to, beaconVersion)
	to = append(to, b.UUID[:]...)
	return binary.BigEndian.AppendUint16(to, b.Port)
}

// ParseBeacon reads a datagram.
func ParseBeacon(datagram []byte) (b Beacon, err error) {
	switch {
	case len(datagram) < 4 || !bytes.HasPrefix(datagram, beaconHead):
		return b, ErrBeacon
	case datagram[3] != beaconVersion:
		return b, ErrBeaconVersion
	case len(datagram) != beaconSize:
		return b, ErrBeacon
	}
	copy(b.UUID[:], datagram[4:20])
	b.Port = binary.BigEndian.Uint16(datagram[20:])
	return b, nil
}
