package transfer

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"reflect"
	"strings"
	"testing"

	zioflow "github.com/zioflow/gateway/clients/go"
)

// npyOf is an array as NumPy writes it, with that header in that version.
func npyOf(version byte, header string, data []byte) []byte {
	out := append([]byte(npyMagic), version, 0)
	if version == 1 {
		out = binary.LittleEndian.AppendUint16(out, uint16(len(header)))
	} else {
		out = binary.LittleEndian.AppendUint32(out, uint32(len(header)))
	}
	return append(append(out, header...), data...)
}

func header(descr, fortran, shape string) string {
	return fmt.Sprintf("{'descr': '%s', 'fortran_order': %s, 'shape': (%s), }  \n", descr, fortran, shape)
}

func TestReadNpy(t *testing.T) {
	t.Parallel()
	bytesOf := func(n int) (b []byte) {
		for i := range n {
			b = append(b, byte(i))
		}
		return b
	}
	for name, c := range map[string]struct {
		file []byte
		want zioflow.Tensor
	}{
		"floats":       {npyOf(1, header("<f4", "False", "1, 2"), bytesOf(8)), zioflow.Tensor{Shape: []int{1, 2}, Dtype: 'f', Word: 4, Data: bytesOf(8)}},
		"version 3":    {npyOf(3, header("|u1", "False", "3,"), bytesOf(3)), zioflow.Tensor{Shape: []int{3}, Dtype: 'u', Word: 1, Data: bytesOf(3)}},
		"big-endian":   {npyOf(1, header(">i2", "False", "2,"), bytesOf(4)), zioflow.Tensor{Shape: []int{2}, Dtype: 'i', Word: 2, Data: []byte{1, 0, 3, 2}}},
		"complex":      {npyOf(1, header(">c8", "False", "1,"), bytesOf(8)), zioflow.Tensor{Shape: []int{1}, Dtype: 'c', Word: 8, Data: []byte{3, 2, 1, 0, 7, 6, 5, 4}}},
		"a scalar":     {npyOf(2, header("|b1", "False", ""), bytesOf(1)), zioflow.Tensor{Shape: []int{}, Dtype: 'b', Word: 1, Data: bytesOf(1)}},
		"nothing":      {npyOf(1, header("<f8", "False", "0, 3"), nil), zioflow.Tensor{Shape: []int{0, 3}, Dtype: 'f', Word: 8, Data: []byte{}}},
		"as Fortran's": {npyOf(1, header("|u1", "True", "2, 3"), bytesOf(6)), zioflow.Tensor{Shape: []int{2, 3}, Dtype: 'u', Word: 1, Order: []int{0, 1}, Data: bytesOf(6)}},
	} {
		got, err := readNpy(bytes.NewReader(c.file))
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v (%v), want %+v", name, got, err, c.want)
			continue
		}
		var out bytes.Buffer
		if err := writeNpy(&out, got); err != nil || out.Len()%8 != len(got.Data)%8 {
			t.Errorf("%s: written were %d bytes (%v)", name, out.Len(), err)
		}
		if again, err := readNpy(&out); err != nil || !reflect.DeepEqual(again, got) {
			t.Errorf("%s: written and read again it is %+v (%v)", name, again, err)
		}
	}
}

func TestReadNpyRefuses(t *testing.T) {
	t.Parallel()
	for want, file := range map[string][]byte{
		"does not begin as one":              []byte("PK\x03\x04 an archive"),
		"array ends in its header":           []byte(npyMagic + "\x01\x00\x76\x00{"),
		"at most 65536 are read":             []byte(npyMagic + "\x02\x00\xff\xff\xff\xff"),
		"numbers or booleans":                npyOf(1, "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }", nil),
		"an array of O8 is no tensor":        npyOf(1, header("|O8", "False", "1,"), nil),
		"an array of U4 is no tensor":        npyOf(1, header("<U4", "False", "1,"), nil),
		"which no message holds":             npyOf(1, header("<f8", "False", "4000000000, 4000000000, 4000000000"), nil),
		"which no message holds ":            npyOf(1, header("<f8", "False", "99999999999"), nil),
		"shape is (99999999999999999999)":    npyOf(1, header("<f8", "False", "99999999999999999999"), nil),
		"the array ends after 3 of 16 bytes": npyOf(1, header("<f8", "False", "2,"), []byte("abc")),
	} {
		if _, err := readNpy(bytes.NewReader(file)); err == nil || !strings.Contains(err.Error(), strings.TrimSpace(want)) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// TestTurned: an order that NumPy does not have.
func TestTurned(t *testing.T) {
	t.Parallel()
	tensor := zioflow.Tensor{Shape: []int{2, 3, 2}, Dtype: 'u', Word: 1, Order: []int{1, 0, 2}, Data: make([]byte, 12)}
	for i := range 2 {
		for j := range 3 {
			for k := range 2 {
				tensor.Data[j+3*i+6*k] = byte(100*i + 10*j + k)
			}
		}
	}
	var out bytes.Buffer
	if err := writeNpy(&out, tensor); err != nil {
		t.Fatal(err)
	}
	got, err := readNpy(&out)
	if want := []byte{0, 1, 10, 11, 20, 21, 100, 101, 110, 111, 120, 121}; err != nil || !bytes.Equal(got.Data, want) || got.Order != nil {
		t.Errorf("%v in order %v (%v), want %v", got.Data, got.Order, err, want)
	}
}
