package zio_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/zioflow/gateway/broker/zio"
)

// vector is a message as the Python implementation of ZIO encodes it.
type vector struct {
	Level                  byte
	Form, Label            string
	Origin, Granule, Seqno string
	Payload, Parts         []string
	Encoded                string
}

func vectors(t testing.TB) []vector {
	text, err := os.ReadFile("testdata/python_zio.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []vector
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	// By hand, from the protocol page's example.
	all = append(all, vector{
		Form: "FLOW", Label: `{"flow":"DAT"}`, Origin: "42", Granule: "1", Seqno: "2",
		Payload: []string{"4869"},
		Parts: []string{
			"5a494f30464c4f577b22666c6f77223a22444154227d",
			"2a0000000000000001000000000000000200000000000000",
			"4869",
		},
		Encoded: "165a494f30464c4f577b22666c6f77223a22444154227d" +
			"182a0000000000000001000000000000000200000000000000" + "024869",
	})
	return all
}

func (v vector) message(t testing.TB) *zio.Message {
	number := func(s string) uint64 {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	m := &zio.Message{
		Level: v.Level, Form: [4]byte([]byte(v.Form)), Label: []byte(v.Label),
		Coord: zio.Coord{Origin: number(v.Origin), Granule: number(v.Granule), Seqno: number(v.Seqno)},
	}
	for _, part := range v.Payload {
		m.Payload = append(m.Payload, unhex(t, part))
	}
	return m
}

func unhex(t testing.TB, s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func requireEqual(t testing.TB, got, want *zio.Message) {
	t.Helper()
	if got.Level != want.Level || got.Form != want.Form || got.Coord != want.Coord ||
		!bytes.Equal(got.Label, want.Label) || len(got.Payload) != len(want.Payload) {
		t.Fatalf("got %+v\nwant %+v", got, want)
	}
	for i := range want.Payload {
		if !bytes.Equal(got.Payload[i], want.Payload[i]) {
			t.Fatalf("part %d: got %x, want %x", i, got.Payload[i], want.Payload[i])
		}
	}
}

func TestVectors_MSG_1_MSG_2_MSG_3_MSG_4_MSG_11(t *testing.T) {
	t.Parallel()
	for _, v := range vectors(t) {
		t.Run(v.Form+v.Label, func(t *testing.T) {
			want := v.message(t)
			encoded := unhex(t, v.Encoded)
			if got := want.AppendEncoded(nil); !bytes.Equal(got, encoded) {
				t.Errorf("encoded\n%x, want\n%x", got, encoded)
			}
			if got := want.EncodedSize(); got != len(encoded) {
				t.Errorf("EncodedSize is %d, want %d", got, len(encoded))
			}
			var single, multi zio.Message
			if err := single.Decode(encoded); err != nil {
				t.Fatal(err)
			}
			requireEqual(t, &single, want)

			var parts [][]byte
			for _, part := range v.Parts {
				parts = append(parts, unhex(t, part))
			}
			if err := multi.DecodeParts(parts); err != nil {
				t.Fatal(err)
			}
			requireEqual(t, &multi, want)
			if got := want.AppendPrefix(nil); !bytes.Equal(got, parts[0]) {
				t.Errorf("prefix %x, want %x", got, parts[0])
			}
			if got := want.AppendCoord(nil); !bytes.Equal(got, parts[1]) {
				t.Errorf("coord %x, want %x", got, parts[1])
			}
		})
	}
}

const (
	hexPrefix = "08" + "5a494f30464c4f57"
	hexCoord  = "18" + "2a0000000000000001000000000000000200000000000000"
)

func TestDecodeAccepts_MSG_5_MSG_7(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		encoded string
		payload []string
	}{
		"no payload":                {hexPrefix + hexCoord, nil},
		"empty last part":           {hexPrefix + hexCoord + "00", []string{""}},
		"empty parts":               {hexPrefix + hexCoord + "000000", []string{"", "", ""}},
		"long form of a short part": {hexPrefix + hexCoord + "ff00000002" + "4869", []string{"Hi"}},
		"long form of an empty one": {hexPrefix + hexCoord + "ff00000000", []string{""}},
		"long form of the prefix":   {"ff00000008" + hexPrefix[2:] + hexCoord, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var m zio.Message
			if err := m.Decode(unhex(t, tt.encoded)); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, part := range m.Payload {
				got = append(got, string(part))
			}
			if strings.Join(got, "|") != strings.Join(tt.payload, "|") || len(got) != len(tt.payload) {
				t.Errorf("payload %q, want %q", got, tt.payload)
			}
		})
	}
}

func TestDecodeRejects_MSG_6_MSG_8(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ encoded, want string }{
		"nothing":                {"", "prefix: malformed message: part is missing"},
		"one part":               {hexPrefix, "coord: malformed message: part is missing"},
		"short prefix":           {"07" + "5a494f30464c4f" + hexCoord, "prefix of 7 bytes"},
		"wrong magic":            {"08" + "5a494d30464c4f57" + hexCoord, `begins with "ZIM"`},
		"level 9":                {"08" + "5a494f39464c4f57" + hexCoord, "level '9'"},
		"level below 0":          {"08" + "5a494f2f464c4f57" + hexCoord, "level '/'"},
		"form is not ASCII":      {"08" + "5a494f30464c4fc3" + hexCoord, "not ASCII"},
		"coord too short":        {hexPrefix + "17" + hexCoord[4:], "coord of 23 bytes"},
		"coord too long":         {hexPrefix + "19" + hexCoord[2:] + "00", "coord of 25 bytes"},
		"part cut off":           {hexPrefix + hexCoord + "0548", "part of 5 bytes is cut off after 1"},
		"long part cut off":      {hexPrefix + hexCoord + "ffffffffff" + "00", "part of 4294967295 bytes"},
		"long length cut off":    {hexPrefix + hexCoord + "ff0000", "length is cut off"},
		"last length cut off":    {hexPrefix + hexCoord + "ff", "length is cut off"},
		"prefix longer than all": {"50" + "5a494f30", "part of 80 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			var m zio.Message
			err := m.Decode(unhex(t, tt.encoded))
			if !errors.Is(err, zio.ErrMalformed) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got error %v, want one with %q", err, tt.want)
			}
		})
	}
	var m zio.Message
	if err := m.DecodeParts([][]byte{[]byte("ZIO0FLOW")}); !errors.Is(err, zio.ErrMalformed) {
		t.Errorf("one part of multi-part: %v", err)
	}
}

func TestDecodeAllocatesNothing(t *testing.T) {
	encoded := (&zio.Message{
		Form: zio.FormFlow, Label: []byte(`{"flow":"DAT","a":[1,{"b":"é"}]}`),
		Payload: [][]byte{make([]byte, 300), {}, []byte("x")},
	}).AppendEncoded(nil)
	var m zio.Message
	allocs := testing.AllocsPerRun(100, func() {
		if err := m.Decode(encoded); err != nil {
			t.Fatal(err)
		}
		if _, err := zio.Peek(m.Label); err != nil {
			t.Fatal(err)
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations a message", allocs)
	}
}

type countedCarrier struct {
	zio.Refs
	freed int
}

func (c *countedCarrier) Release() {
	if c.Drop() {
		c.freed++
	}
}

// The memory is given back by the last of those who hold it, however many come and go.
func TestTheLastHolderFrees(t *testing.T) {
	t.Parallel()
	var c countedCarrier
	m := &zio.Message{}
	m.Carry(&c)
	for range 3 { // the carrier is used again
		c.freed = 0
		m.Hold()
		m.Hold()
		m.Release()
		m.Hold()
		for holders := 3; holders > 0; holders-- {
			if c.freed != 0 || c.Shared() != (holders > 1) {
				t.Fatalf("freed %d times while there are %d holders; shared: %v", c.freed, holders, c.Shared())
			}
			m.Release()
		}
		if c.freed != 1 {
			t.Fatalf("freed %d times", c.freed)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add(unhex(f, v.Encoded))
	}
	f.Add(unhex(f, hexPrefix+hexCoord+"ff00000002"+"4869"+"00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var m, again zio.Message
		if err := m.Decode(b); err != nil {
			if !errors.Is(err, zio.ErrMalformed) {
				t.Fatalf("unnamed error %v", err)
			}
			return
		}
		encoded := m.AppendEncoded(nil)
		if len(encoded) > len(b) || len(encoded) != m.EncodedSize() {
			t.Fatalf("%d bytes became %d, foretold %d", len(b), len(encoded), m.EncodedSize())
		}
		if err := again.Decode(encoded); err != nil {
			t.Fatal(err)
		}
		requireEqual(t, &again, &m)

		parts := append([][]byte{m.AppendPrefix(nil), m.AppendCoord(nil)}, m.Payload...)
		if err := again.DecodeParts(parts); err != nil {
			t.Fatal(err)
		}
		requireEqual(t, &again, &m)
	})
}

func BenchmarkDecode(b *testing.B) {
	encoded := (&zio.Message{Form: zio.FormFlow, Label: []byte(`{"flow":"DAT"}`), Payload: [][]byte{make([]byte, 100)}}).AppendEncoded(nil)
	var m zio.Message
	b.ReportAllocs()
	for b.Loop() {
		if err := m.Decode(encoded); err != nil {
			b.Fatal(err)
		}
		if _, err := zio.Peek(m.Label); err != nil {
			b.Fatal(err)
		}
	}
}

// Parts in pieces are written as parts in one piece are.
func TestPartsInPieces_MSG_11(t *testing.T) {
	t.Parallel()
	whole := &zio.Message{
		Form: zio.FormFlow, Label: []byte(`{"flow":"DAT"}`),
		Payload: [][]byte{bytes.Repeat([]byte("ab"), 200), {}, []byte("cde"), {}},
	}
	pieces := &zio.Message{
		Form: zio.FormFlow, Label: whole.Label,
		Payload: [][]byte{whole.Payload[0][:1], whole.Payload[0][1:], {}, []byte("c"), {}, []byte("de")},
		Ends:    []int{2, 3, 6, 6},
	}
	if got, want := pieces.AppendEncoded(nil), whole.AppendEncoded(nil); !bytes.Equal(got, want) || pieces.EncodedSize() != len(want) {
		t.Errorf("encoded %d bytes %x, want %x", pieces.EncodedSize(), got, want)
	}
	if pieces.Size() != whole.Size() || pieces.Parts() != whole.Parts() {
		t.Errorf("%d bytes in %d parts, want %d in %d", pieces.Size(), pieces.Parts(), whole.Size(), whole.Parts())
	}
	for name, m := range map[string]*zio.Message{"pieces": pieces, "another label": pieces.WithLabel(nil)} {
		for i, want := range whole.Payload {
			if part := m.Part(i); !bytes.Equal(part.AppendTo(nil), want) || part.Len() != len(want) {
				t.Errorf("%s: part %d is %q, want %q", name, i, part, want)
			}
		}
	}
	if err := pieces.Decode(whole.AppendEncoded(nil)); err != nil || pieces.Parts() != 4 || pieces.Ends != nil {
		t.Errorf("decoded into used room: %v, %d parts", err, pieces.Parts())
	}
}

// TestDecodeStopsAtTooManyParts_MSG_13: what is to be refused is not taken apart
// first.
func TestDecodeStopsAtTooManyParts_MSG_13(t *testing.T) {
	t.Parallel()
	head := (&zio.Message{Form: zio.FormFlow, Label: []byte(`{"flow":"DAT"}`)}).AppendEncoded(nil)
	for _, c := range []struct{ parts, kept int }{
		{zio.MaxParts, zio.MaxParts}, {zio.MaxParts + 1, zio.MaxParts + 1}, {10 * zio.MaxParts, zio.MaxParts + 1},
	} {
		var m zio.Message
		if err := m.Decode(append(bytes.Clone(head), make([]byte, c.parts)...)); err != nil || m.Parts() != c.kept {
			t.Errorf("Decode of %d parts: kept %d, %v, want %d", c.parts, m.Parts(), err, c.kept)
		}
		parts := append([][]byte{m.AppendPrefix(nil), make([]byte, 24)}, make([][]byte, c.parts)...)
		if err := m.DecodeParts(parts); err != nil || m.Parts() != c.kept {
			t.Errorf("DecodeParts of %d parts: kept %d, %v, want %d", c.parts, m.Parts(), err, c.kept)
		}
	}
}

func TestWeight(t *testing.T) {
	t.Parallel()
	payload := [][]byte{make([]byte, 1000)}
	for _, c := range []struct {
		name string
		m    zio.Message
		want int
	}{
		{"ordinary", zio.Message{Label: make([]byte, 3000), Payload: payload}, 1000},
		{"long label", zio.Message{Label: make([]byte, 1<<20), Payload: payload}, 1000 + 1<<20 + 128 - 4<<10},
		{"many parts", zio.Message{Payload: make([][]byte, 1000)}, 128*1000 - 4<<10},
		{"one part in pieces", zio.Message{Payload: make([][]byte, 1000), Ends: []int{1000}}, 0},
	} {
		if got := c.m.Weight(); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}
