package zioflow

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/bits"
	"slices"
	"unsafe"
)

// Element is what the elements of a [Tensor] can be in Go.
type Element interface {
	bool | int8 | int16 | int32 | int64 | uint8 | uint16 | uint32 | uint64 |
		float32 | float64 | complex64 | complex128
}

// Tensor is an array in ZIO's TENS form.
type Tensor struct {
	// Shape is the number of elements in each dimension; empty for a single element.
	Shape []int
	// Dtype is what an element is: 'f' float, 'i' and 'u' signed and unsigned integer, 'b'
	// boolean, 'c' complex. Word is its bytes.
	Dtype byte
	Word  int
	// Order names the dimensions from the fastest to the slowest, as ZIO has it; empty
	// where the last one runs fastest.
	Order []int
	// Metadata is the application's own.
	Metadata map[string]any
	// Data is the elements, little-endian, in the order in which they lie. That of a
	// received one is the message's payload.
	Data []byte
}

// maxDimensions bounds how many a tensor may have.
const maxDimensions = 64

// words are the sizes that the elements of a dtype can have, as far as ZIO's programs
// know them.
var words = map[byte][]int{
	'f': {2, 4, 8, 16}, 'i': {1, 2, 4, 8}, 'u': {1, 2, 4, 8}, 'b': {1}, 'c': {4, 8, 16, 32},
}

// NewTensor is a tensor of these elements, whose memory it shares; without a shape it has
// one dimension. The error, which wraps ErrInvalid, says how elements and shape do not fit.
func NewTensor[T Element](elements []T, shape ...int) (Tensor, error) {
	if len(shape) == 0 {
		shape = []int{len(elements)}
	}
	return tensorOf(elements, shape)
}

// Scalar is a tensor of a single element, which has no dimensions.
func Scalar[T Element](element T) Tensor {
	t, _ := tensorOf([]T{element}, nil) // which always fits
	return t
}

func tensorOf[T Element](elements []T, shape []int) (Tensor, error) {
	dtype, word := typeOf[T]()
	data := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(elements))), len(elements)*word)
	if !littleEndian && word > 1 {
		data, _ = binary.Append(nil, binary.LittleEndian, elements) // its types all have a size
	}
	t := Tensor{Shape: append([]int{}, shape...), Dtype: dtype, Word: word, Data: data}
	return t, t.check()
}

// Elements is a tensor's elements, as they lie: a view of its Data where that begins at an
// element's boundary, else a copy. The error, which wraps ErrInvalid, says that they are
// none of T.
func Elements[T Element](t Tensor) ([]T, error) {
	dtype, word := typeOf[T]()
	if t.Dtype != dtype || t.Word != word {
		return nil, fmt.Errorf("%w: the elements are %c%d, not %c%d", ErrInvalid, t.Dtype, t.Word, dtype, word)
	}
	if err := t.check(); err != nil {
		return nil, err
	}
	start := unsafe.Pointer(unsafe.SliceData(t.Data))
	if len(t.Data) == 0 || littleEndian && dtype != 'b' && uintptr(start)%unsafe.Alignof(*new(T)) == 0 {
		return unsafe.Slice((*T)(start), len(t.Data)/word), nil
	}
	elements := make([]T, len(t.Data)/word)
	_, err := binary.Decode(t.Data, binary.LittleEndian, elements)
	return elements, err
}

// littleEndian tells whether this machine has numbers in memory as TENS has them.
var littleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

// typeOf is the dtype of T, and its bytes.
func typeOf[T Element]() (dtype byte, word int) {
	var zero T
	switch any(zero).(type) {
	case bool:
		dtype = 'b'
	case int8, int16, int32, int64:
		dtype = 'i'
	case uint8, uint16, uint32, uint64:
		dtype = 'u'
	case float32, float64:
		dtype = 'f'
	default:
		dtype = 'c'
	}
	return dtype, int(unsafe.Sizeof(zero))
}

// check says how the tensor's fields do not fit.
func (t Tensor) check() error {
	wrong := func(format string, arguments ...any) error {
		return fmt.Errorf("%w: tensor: "+format, append([]any{ErrInvalid}, arguments...)...)
	}
	if !slices.Contains(words[t.Dtype], t.Word) {
		return wrong("there is no dtype %q of %d bytes", string(t.Dtype), t.Word)
	}
	if len(t.Shape) > maxDimensions {
		return wrong("it has %d dimensions, at most %d are read", len(t.Shape), maxDimensions)
	}
	size, overflow := uint64(t.Word), uint64(0)
	for _, n := range t.Shape {
		if n < 0 {
			return wrong("its shape is %v", t.Shape)
		}
		var high uint64
		high, size = bits.Mul64(size, uint64(n))
		overflow |= high
	}
	if overflow != 0 || size != uint64(len(t.Data)) {
		return wrong("shape %v of %d bytes an element does not fit %d bytes of data", t.Shape, t.Word, len(t.Data))
	}
	if len(t.Order) > 0 {
		sorted := slices.Sorted(slices.Values(t.Order))
		if len(sorted) != len(t.Shape) || !slices.IsSorted(sorted) || slices.ContainsFunc(sorted, func(n int) bool { return n < 0 || n >= len(sorted) }) || len(slices.Compact(sorted)) != len(t.Shape) {
			return wrong("its order is %v, of %d dimensions", t.Order, len(t.Shape))
		}
	}
	return nil
}

// tensLabel is how a label describes tensors.
type tensLabel struct {
	Tensors  []tensEntry    `json:"tensors"`
	Metadata map[string]any `json:"metadata"`
}

type tensEntry struct {
	Shape    []int          `json:"shape"`
	Word     int            `json:"word"`
	Dtype    string         `json:"dtype"`
	Part     *int           `json:"part,omitempty"`
	Order    []int          `json:"order,omitempty"`
	Metadata map[string]any `json:"metadata,omitempty"`

	// These change how the data is to be read, and are refused.
	Ascend  []bool          `json:"ascend,omitempty"`
	Packing string          `json:"packing,omitempty"`
	Pointer json.RawMessage `json:"pointer,omitempty"`
}

// unread says which of what changes the data's meaning is not known here; empty for
// nothing.
func (e *tensEntry) unread() string {
	switch {
	case slices.Contains(e.Ascend, false):
		return "a dimension that does not ascend"
	case e.Packing != "" && e.Packing != "dense":
		return fmt.Sprintf("packing %.20q", e.Packing)
	case e.Pointer != nil:
		return "a pointer, into another process's memory"
	}
	return ""
}

// SetTensors makes tensors the payload of d, and describes them in its label, whose other
// members stay. The metadata, which may be nil, is that of all of them. An error wraps
// ErrInvalid and leaves d as it was.
func (d *Dat) SetTensors(metadata map[string]any, tensors ...Tensor) error {
	if metadata == nil {
		metadata = map[string]any{}
	}
	tens := tensLabel{Tensors: make([]tensEntry, len(tensors)), Metadata: metadata}
	payload := make([][]byte, len(tensors))
	for i, t := range tensors {
		if err := t.check(); err != nil {
			return fmt.Errorf("%w (number %d)", err, i)
		}
		part := i
		tens.Tensors[i] = tensEntry{
			Shape: append([]int{}, t.Shape...), Word: t.Word, Dtype: string(t.Dtype), Part: &part, Order: t.Order, Metadata: t.Metadata,
		}
		payload[i] = t.Data
	}
	label, err := withMember(d.Label, "TENS", tens)
	if err != nil {
		return err
	}
	d.Label, d.Payload = label, payload
	return nil
}

// Tensors are those that the label of d describes, and their metadata; none if it has no
// TENS. Their Data is d's payload. An error wraps ErrInvalid: the description makes no
// sense, or does not fit the payload.
func (d *Dat) Tensors() (tensors []Tensor, metadata map[string]any, err error) {
	if len(d.Label) == 0 {
		return nil, nil, nil
	}
	var label struct{ TENS *tensLabel }
	if err := json.Unmarshal(d.Label, &label); err != nil {
		return nil, nil, fmt.Errorf("%w: TENS: %w", ErrInvalid, err)
	}
	if label.TENS == nil {
		return nil, nil, nil
	}
	tensors = make([]Tensor, len(label.TENS.Tensors))
	for i, e := range label.TENS.Tensors {
		part := i
		if e.Part != nil {
			part = *e.Part
		}
		if part < 0 || part >= len(d.Payload) || len(e.Dtype) != 1 {
			return nil, nil, fmt.Errorf("%w: tensor %d: dtype %.8q, part %d of %d", ErrInvalid, i, e.Dtype, part, len(d.Payload))
		}
		if what := e.unread(); what != "" {
			return nil, nil, fmt.Errorf("%w: tensor %d has %s, which is not known here", ErrInvalid, i, what)
		}
		tensors[i] = Tensor{e.Shape, e.Dtype[0], e.Word, e.Order, e.Metadata, d.Payload[part]}
		if err := tensors[i].check(); err != nil {
			return nil, nil, fmt.Errorf("%w (number %d)", err, i)
		}
	}
	return tensors, label.TENS.Metadata, nil
}
