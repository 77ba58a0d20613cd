package main_test

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/zioflow/gateway/broker/zio"
)

// corpus is a row of DATs. Each can be made anew from its number, so that
// whoever takes them knows what was given.
type corpus struct {
	name  string
	count int
	// sizes of message n's payload parts.
	sizes func(n int) []int
	// label of message n.
	label func(n int) string
	// hashes of the payloads, made once for all the pairings.
	hashes func() [][sha256.Size]byte
}

// maxUnderRace is up to which size, in bytes, messages cross under the race detector, where
// they cost several times as much; scripts/test.sh has the larger ones cross without it.
const maxUnderRace = 10_000_000

// corpora are the rows that cross every pairing.
var corpora = []*corpus{
	newCorpus("small", 250, smallSizes, func(n int) string { return labels[n%len(labels)] }),
	newCorpus("5 MB", 20, bigSizes(5_000_000), numbered),
	newCorpus("60 MB", 3, bigSizes(60_000_000), numbered),
}

func newCorpus(name string, count int, sizes func(int) []int, label func(int) string) *corpus {
	c := &corpus{name: name, count: count, sizes: sizes, label: label}
	c.hashes = sync.OnceValue(func() [][sha256.Size]byte {
		hashes := make([][sha256.Size]byte, count)
		for n := range hashes {
			hashes[n] = hashOf(c.payload(n))
		}
		return hashes
	})
	return c
}

// smallSizes cycles the sizes at which the encodings change, in payloads of 0
// to 4 parts. The last part is empty in every fifth (MSG-7).
func smallSizes(n int) []int {
	sizes := [...]int{0, 1, 254, 255, 70_000}
	parts := make([]int, n/len(sizes)%5)
	for i := range parts {
		parts[i] = sizes[(n+i)%len(sizes)]
	}
	return parts
}

// bigSizes splits a total in three ways.
func bigSizes(total int) func(int) []int {
	return func(n int) []int {
		return [][]int{{total}, {total / 2, 0, total - total/2}, {255, total - 255, 0}}[n%3]
	}
}

func numbered(n int) string { return fmt.Sprintf(`{"flow":"DAT","n":%d}`, n) }

// labels are texts that must cross byte for byte: spacing, escapes, repeated
// keys and numbers that no float64 holds would not survive decoding.
var labels = []string{
	`{"flow":"DAT"}`,
	`{"flow":"DAT","unknown":{"deep":[1,2,{"x":null}],"yes":true}}`,
	`{"größe":"Ωmega · 木","emoji":"😀","flow":"DAT"}`,
	`{"flow":"DAT","esc":"\u00e9 \ud83d\ude00 \"\\\/\b\f\n\r\t"}`,
	"  {\t\"flow\" :\r\n \"DAT\" , \"a\":[ 1 ,2 ] }\n",
	`{"flow":"DAT","max":18446744073709551615,"min":-9223372036854775808,"odd":9007199254740993}`,
	`{"flow":"DAT","huge":123456789012345678901234567890,"tiny":1.0e-0400,"two":2.0,"minus":-0}`,
	`{"flow":"DAT","a":1,"a":2,"":0}`,
	`{"\u0066low":"D\u0041T"}`,
	`{"flow":"DAT","TENS":{"tensors":[{"shape":[2,3],"word":4,"dtype":"f"}],"metadata":{}}}`,
}

// random is what all payloads are cut from.
var random = sync.OnceValue(func() []byte {
	b := make([]byte, 61_000_000)
	_, _ = rand.NewChaCha8([32]byte{7}).Read(b) // never fails
	return b
})

func (c *corpus) payload(n int) [][]byte {
	var payload [][]byte
	for i, size := range c.sizes(n) {
		from := (n*7919 + i*104_729) % (len(random()) - size)
		payload = append(payload, random()[from:from+size:from+size])
	}
	return payload
}

// message is DAT n. Its seqno is the sender's business.
func (c *corpus) message(n int) *zio.Message {
	return &zio.Message{
		Level: byte(n % (zio.MaxLevel + 1)), Form: zio.FormFlow, Label: []byte(c.label(n)), Payload: c.payload(n),
		Coord: zio.Coord{Origin: ^uint64(n), Granule: uint64(n)<<33 + 1},
	}
}

// check compares what has arrived with DAT n.
func (c *corpus) check(n int, got *zio.Message) error {
	want := c.message(n)
	if err := sameHead(got, want); err != nil {
		return fmt.Errorf("%s DAT %d: %w", c.name, n, err)
	}
	if hashOf(got.Payload) != c.hashes()[n] {
		return fmt.Errorf("%s DAT %d: payload of %v bytes differs, want %v", c.name, n, partSizes(got.Payload), c.sizes(n))
	}
	return nil
}

// largest is the size of the largest part.
func (c *corpus) largest() (most int) {
	for n := range c.count {
		most = max(most, slices.Max(append(c.sizes(n), 0)))
	}
	return most
}

func (c *corpus) bytes() (total int) {
	for n := range c.count {
		for _, size := range c.sizes(n) {
			total += size
		}
	}
	return total
}

// sameHead compares all but payload and seqno.
func sameHead(got, want *zio.Message) error {
	switch {
	case string(got.Label) != string(want.Label):
		return fmt.Errorf("label is %q, want %q", got.Label, want.Label)
	case got.Level != want.Level:
		return fmt.Errorf("level is %d, want %d", got.Level, want.Level)
	case got.Form != want.Form:
		return fmt.Errorf("form is %q, want %q", got.Form, want.Form)
	case got.Origin != want.Origin:
		return fmt.Errorf("origin is %d, want %d", got.Origin, want.Origin)
	case got.Granule != want.Granule:
		return fmt.Errorf("granule is %d, want %d", got.Granule, want.Granule)
	}
	return nil
}

// hashOf covers the parts' bytes and their boundaries.
func hashOf(payload [][]byte) [sha256.Size]byte {
	h := sha256.New()
	for _, part := range payload {
		var size [8]byte
		binary.LittleEndian.PutUint64(size[:], uint64(len(part)))
		h.Write(size[:])
		h.Write(part)
	}
	return [sha256.Size]byte(h.Sum(nil))
}

func partSizes(payload [][]byte) []int {
	sizes := make([]int, len(payload))
	for i, part := range payload {
		sizes[i] = len(part)
	}
	return sizes
}
