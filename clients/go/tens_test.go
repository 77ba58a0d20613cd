package zioflow_test

import (
	"bytes"
	"context"
	"errors"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	zioflow "github.com/zioflow/gateway/clients/go"
)

// roundTrip has elements cross as a tensor, and checks them.
func roundTrip[T zioflow.Element](t *testing.T, cross func(zioflow.Tensor) zioflow.Tensor, elements []T, shape ...int) {
	t.Helper()
	tensor, err := zioflow.NewTensor(elements, shape...)
	if err != nil {
		t.Fatal(err)
	}
	got, err := zioflow.Elements[T](cross(tensor))
	if err != nil || !slices.Equal(got, elements) {
		t.Errorf("%T: %v, %v, want %v", elements, got, err, elements)
	}
}

// TestTensors has every type cross a gateway, from a client to its handler.
func TestTensors(t *testing.T) {
	setup{}.run(t, func(t *testing.T, _ *memory, g *zioflow.Gateway) {
		taken := make(chan zioflow.Dat, 1)
		handle(t, g, zioflow.Listener{Name: "arrays"}, func(ctx context.Context, o *zioflow.Offer) error {
			taker, err := o.Take(ctx, zioflow.Bot{})
			if err != nil {
				return err
			}
			for dat, err := range taker.All(ctx) {
				if err != nil {
					return err
				}
				taken <- dat
			}
			return nil
		})
		giver, err := g.Give(t.Context(), zioflow.Bot{Credit: 1})
		if err != nil {
			t.Fatal(err)
		}
		cross := func(tensor zioflow.Tensor) zioflow.Tensor {
			t.Helper()
			tensor.Metadata = map[string]any{"unit": "mV"}
			dat := zioflow.Dat{Label: []byte(`{"credit":"mine","x":12345678901234567890}`)}
			if err := dat.SetTensors(map[string]any{"run": "7"}, tensor, tensor); err != nil {
				t.Fatal(err)
			}
			if err := giver.Put(t.Context(), dat); err != nil {
				t.Fatal(err)
			}
			got := <-taken
			if !bytes.Contains(got.Label, []byte(`"credit":"mine"`)) || !bytes.Contains(got.Label, []byte(`12345678901234567890`)) {
				t.Errorf("the label is %s", got.Label)
			}
			tensors, metadata, err := got.Tensors()
			if err != nil || len(tensors) != 2 || !reflect.DeepEqual(metadata, map[string]any{"run": "7"}) {
				t.Fatalf("%d tensors, %v, %v", len(tensors), metadata, err)
			}
			if !reflect.DeepEqual(tensors[1], tensor) {
				t.Errorf("%+v, want %+v", tensors[1], tensor)
			}
			return tensors[0]
		}
		roundTrip(t, cross, []bool{true, false, true})
		roundTrip(t, cross, []int8{-128, 127}, 1, 2)
		roundTrip(t, cross, []int16{-1, 1}, 2, 1, 1)
		roundTrip(t, cross, []int32{math.MinInt32, 5, 6, 7}, 2, 2)
		roundTrip(t, cross, []int64{math.MinInt64})
		roundTrip(t, cross, []uint8{1, 2, 3, 4, 5, 6, 7, 8}, 2, 2, 2)
		roundTrip(t, cross, []uint16{65535})
		roundTrip(t, cross, []uint32{1 << 31})
		roundTrip(t, cross, []uint64{1 << 63})
		roundTrip(t, cross, []float32{1.5, -0.25})
		roundTrip(t, cross, []float64{math.Pi}, 1, 1, 1, 1, 1)
		roundTrip(t, cross, []complex64{1 + 2i})
		roundTrip(t, cross, []complex128{1 - 2i, 3})
		roundTrip(t, cross, []float64{}, 0, 3)
		one, err := zioflow.Elements[float64](cross(zioflow.Scalar(2.5)))
		if err != nil || len(one) != 1 || one[0] != 2.5 {
			t.Errorf("a scalar is %v, %v", one, err)
		}
		if err := giver.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestElements_unaligned copies what is no view.
func TestElements_unaligned(t *testing.T) {
	tensor := zioflow.Tensor{Shape: []int{1}, Dtype: 'u', Word: 4, Data: []byte{0, 1, 2, 3, 4, 5, 6, 7}[1:5]}
	got, err := zioflow.Elements[uint32](tensor)
	if err != nil || got[0] != 0x04030201 {
		t.Errorf("%x, %v", got, err)
	}
	if _, err := zioflow.Elements[int32](tensor); !errors.Is(err, zioflow.ErrInvalid) || !strings.Contains(err.Error(), "u4, not i4") {
		t.Errorf("as another type: %v", err)
	}
}

func TestTensors_invalid(t *testing.T) {
	eight := make([]byte, 8)
	for words, tensor := range map[string]zioflow.Tensor{
		`no dtype "x" of 4 bytes`:         {Dtype: 'x', Word: 4, Data: eight[:4]},
		`no dtype "f" of 3 bytes`:         {Dtype: 'f', Word: 3, Data: eight[:3]},
		"its shape is [-1]":               {Shape: []int{-1}, Dtype: 'f', Word: 4},
		"65 dimensions":                   {Shape: make([]int, 65), Dtype: 'f', Word: 4},
		"does not fit 8 bytes":            {Shape: []int{3}, Dtype: 'f', Word: 4, Data: eight},
		"shape [4294967296 4294967296 4]": {Shape: []int{1 << 32, 1 << 32, 4}, Dtype: 'f', Word: 4},
		"its order is [0 0]":              {Shape: []int{1, 2}, Dtype: 'f', Word: 4, Order: []int{0, 0}, Data: eight},
		"its order is [2 0]":              {Shape: []int{1, 2}, Dtype: 'f', Word: 4, Order: []int{2, 0}, Data: eight},
	} {
		var dat zioflow.Dat
		if err := dat.SetTensors(nil, tensor); !errors.Is(err, zioflow.ErrInvalid) || !strings.Contains(err.Error(), words) || dat.Payload != nil {
			t.Errorf("%v, want %s", err, words)
		}
	}
	if _, err := zioflow.NewTensor([]int8{1, 2}, 3); !errors.Is(err, zioflow.ErrInvalid) {
		t.Errorf("a shape of more elements: %v", err)
	}
	for label, words := range map[string]string{
		`{"TENS":{"tensors":[{"shape":[2],"word":4,"dtype":"f","ascend":[false]}]}}`:   "does not ascend",
		`{"TENS":{"tensors":[{"shape":[2],"word":4,"dtype":"f","packing":"sparse"}]}}`: `packing "sparse"`,
		`{"TENS":{"tensors":[{"shape":[2],"word":4,"dtype":"f","pointer":5}]}}`:        "a pointer",
		`{"TENS":3}`: "TENS",
		`{"TENS":{"tensors":[{"shape":[2],"word":4,"dtype":"f","part":1}]}}`: "part 1 of 1",
		`{"TENS":{"tensors":[{"shape":[2],"word":4,"dtype":"float"}]}}`:      `dtype "float"`,
		`{"TENS":{"tensors":[{"shape":[9],"word":4,"dtype":"f"}]}}`:          "does not fit",
		`{"TENS":{"tensors":[{"shape":[2.5],"word":4,"dtype":"f"}]}}`:        "TENS",
		`{`: "TENS",
	} {
		dat := zioflow.Dat{Label: []byte(label), Payload: [][]byte{eight}}
		if _, _, err := dat.Tensors(); !errors.Is(err, zioflow.ErrInvalid) || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v, want %s", label, err, words)
		}
	}
	for _, label := range []string{"", `{"flow":"DAT"}`, `{"TENS":null}`} {
		dat := zioflow.Dat{Label: []byte(label)}
		if tensors, _, err := dat.Tensors(); err != nil || tensors != nil {
			t.Errorf("%s: %v, %v", label, tensors, err)
		}
	}
}
