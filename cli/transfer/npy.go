package transfer

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"regexp"
	"slices"
	"strconv"
	"strings"

	zioflow "github.com/zioflow/gateway/clients/go"
)

// NumPy's format, version 1 to 3. It is read and written here, and not by a library, as the
// elements stay the bytes that they are, whatever their type, in both orders.

const (
	npyMagic = "\x93NUMPY"
	// maxNpyHeader bounds the text in front of the elements, in bytes; NumPy writes a few
	// hundred.
	maxNpyHeader = 64 << 10
	npyAlign     = 64
)

var (
	npyDescr   = regexp.MustCompile(`'descr'\s*:\s*'([<>|=])([a-zA-Z])(\d{1,3})'`)
	npyFortran = regexp.MustCompile(`'fortran_order'\s*:\s*(True|False)`)
	npyShape   = regexp.MustCompile(`'shape'\s*:\s*\(([\d\s,]*)\)`)
)

// readNpy reads the next array; io.EOF if there is none.
func readNpy(r io.Reader) (zioflow.Tensor, error) {
	header, err := readNpyHeader(r)
	if err != nil {
		return zioflow.Tensor{}, err
	}
	t, swap, err := parseNpyHeader(header)
	if err != nil {
		return t, err
	}
	size := uint64(t.Word)
	for _, n := range t.Shape {
		high, low := bits.Mul64(size, uint64(n))
		if size = low; high != 0 || size > maxMessage {
			return t, fmt.Errorf("the array has more than %d bytes, which no message holds", maxMessage)
		}
	}
	var data bytes.Buffer // which grows with what is really there
	if _, err := io.CopyN(&data, r, int64(size)); err != nil {
		return t, fmt.Errorf("the array ends after %d of %d bytes", data.Len(), size)
	}
	if t.Data = data.Bytes(); swap > 1 {
		for element := range slices.Chunk(t.Data, swap) {
			slices.Reverse(element)
		}
	}
	return t, nil
}

func readNpyHeader(r io.Reader) (string, error) {
	begin := make([]byte, len(npyMagic)+2)
	if _, err := io.ReadFull(r, begin); errors.Is(err, io.EOF) {
		return "", err
	} else if err != nil || string(begin[:len(npyMagic)]) != npyMagic {
		return "", errors.New("it is no array of NumPy's: it does not begin as one")
	}
	length := make([]byte, 4)
	if begin[len(npyMagic)] == 1 {
		length = length[:2]
	}
	if _, err := io.ReadFull(r, length); err != nil {
		return "", errors.New("the array ends in its header")
	}
	n := binary.LittleEndian.Uint32(append(length, 0, 0)[:4])
	if n > maxNpyHeader {
		return "", fmt.Errorf("the array's header has %d bytes, at most %d are read", n, maxNpyHeader)
	}
	header := make([]byte, n)
	if _, err := io.ReadFull(r, header); err != nil {
		return "", errors.New("the array ends in its header")
	}
	return string(header), nil
}

// parseNpyHeader returns a tensor without data, and of how many bytes each is to be turned
// round.
func parseNpyHeader(header string) (t zioflow.Tensor, swap int, err error) {
	descr, fortran, shape := npyDescr.FindStringSubmatch(header), npyFortran.FindStringSubmatch(header), npyShape.FindStringSubmatch(header)
	if descr == nil || fortran == nil || shape == nil {
		return t, 0, fmt.Errorf("an array with the header %.200q is no tensor: its elements have to be numbers or booleans", strings.TrimSpace(header))
	}
	t.Dtype = descr[2][0]
	t.Word, _ = strconv.Atoi(descr[3])
	if !strings.ContainsRune("fiubc", rune(t.Dtype)) {
		return t, 0, fmt.Errorf("an array of %s%s is no tensor: its elements have to be numbers or booleans", descr[2], descr[3])
	}
	t.Shape = []int{}
	for field := range strings.SplitSeq(shape[1], ",") {
		if field = strings.TrimSpace(field); field == "" {
			continue
		}
		n, err := strconv.Atoi(field)
		if err != nil {
			return t, 0, fmt.Errorf("the array's shape is (%.100s)", shape[1])
		}
		t.Shape = append(t.Shape, n)
	}
	if fortran[1] == "True" && len(t.Shape) > 1 {
		for i := range t.Shape {
			t.Order = append(t.Order, i) // the first runs fastest
		}
	}
	if descr[1] == ">" {
		if swap = t.Word; t.Dtype == 'c' {
			swap /= 2
		}
	}
	return t, swap, nil
}

// writeNpy writes a tensor as an array. One that lies in an order that NumPy does not have
// is turned.
func writeNpy(w io.Writer, t zioflow.Tensor) error {
	fortran := "False"
	if len(t.Order) > 1 && slices.IsSorted(t.Order) {
		fortran = "True" // the first dimension runs fastest
	} else if len(t.Order) > 1 && !slices.IsSortedFunc(t.Order, func(a, b int) int { return b - a }) {
		t.Data = turned(t)
	}
	shape := make([]string, len(t.Shape))
	for i, n := range t.Shape {
		shape[i] = strconv.Itoa(n)
	}
	if len(shape) == 1 {
		shape[0] += ","
	}
	order := "<"
	if t.Word == 1 {
		order = "|"
	}
	header := fmt.Sprintf("{'descr': '%s%c%d', 'fortran_order': %s, 'shape': (%s), }", order, t.Dtype, t.Word, fortran, strings.Join(shape, ", "))
	const before = len(npyMagic) + 2 + 2
	header += strings.Repeat(" ", npyAlign-1-(before+len(header))%npyAlign) + "\n"
	out := append([]byte(npyMagic), 1, 0)
	out = binary.LittleEndian.AppendUint16(out, uint16(len(header)))
	if _, err := w.Write(append(out, header...)); err != nil {
		return err
	}
	_, err := w.Write(t.Data)
	return err
}

// turned is a tensor's data with the last dimension running fastest.
func turned(t zioflow.Tensor) []byte {
	strides := make([]int, len(t.Shape)) // in bytes, by dimension
	stride := t.Word
	for _, dimension := range t.Order {
		strides[dimension] = stride
		stride *= t.Shape[dimension]
	}
	out := make([]byte, 0, len(t.Data))
	at, index := 0, make([]int, len(t.Shape))
	for len(out) < len(t.Data) {
		out = append(out, t.Data[at:at+t.Word]...)
		for d := len(index) - 1; d >= 0; d-- {
			index[d]++
			at += strides[d]
			if index[d] < t.Shape[d] {
				break
			}
			at -= index[d] * strides[d]
			index[d] = 0
		}
	}
	return out
}
