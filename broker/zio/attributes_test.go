package zio_test

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/zioflow/gateway/broker/zio"
)

func TestAttributes(t *testing.T) {
	t.Parallel()
	deep := func(n int) string {
		return strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n)
	}
	for label, want := range map[string]map[string]any{
		`{"a":-7,"b":18446744073709551615,"c":1.5,"d":"x\ty","e":[true,false,null],"f":{"g":[]}}`: {
			"a": int64(-7), "b": uint64(math.MaxUint64), "c": 1.5, "d": "x\ty",
			"e": []any{true, false, nil}, "f": map[string]any{"g": []any{}},
		},
		`{ "a" : [ 1 , { "b" : 2 } ] , "c" : "\u00e9\ud83d\ude00\ufffd" }`: {
			"a": []any{int64(1), map[string]any{"b": int64(2)}}, "c": "é😀\ufffd",
		},
		// What cannot be read spoils no other.
		`{"ok":1,"n":1e999,"in":[0,{"x":-1e999}]}`:          {"ok": int64(1), "n": zio.UnreadNumber, "in": zio.UnreadNumber},
		`{"ok":1,"s":"\ud800","t":"\udc00x","u":"\ud800A"}`: {"ok": int64(1), "s": zio.UnreadSurrogate, "t": zio.UnreadSurrogate, "u": zio.UnreadSurrogate},
		`{"ok":1,"in":{"\ud800":1}}`:                        {"ok": int64(1), "in": zio.UnreadSurrogate},
		`{"ok":1,"a":1,"\u0061":2}`:                         {"ok": int64(1), "a": zio.UnreadTwice},
		`{"ok":1,"in":[{"a":1,"a":1}]}`:                     {"ok": int64(1), "in": zio.UnreadTwice},
		`{"ok":1,"x":NaN,"y":[Infinity],"z":-Infinity}`:     {"ok": int64(1), "x": zio.UnreadNotJSON, "y": zio.UnreadNotJSON, "z": zio.UnreadNotJSON},
		`{"ok":1,"x":` + deep(31) + `}`:                     {"ok": int64(1), "x": zio.UnreadDeep},
		`{"long":"` + strings.Repeat("x", 70_000) + `","ok":1}`: {
			"long": zio.UnreadLong, "ok": int64(1),
		},
		`[1]`: {}, `{"a":1`: {}, ``: {}, "{\"a\":\"\xff\"}": {},
	} {
		if got := zio.Attributes([]byte(label)); !reflect.DeepEqual(got, want) {
			t.Errorf("%.100s\n got %v\nwant %v", label, got, want)
		}
	}
	if got := zio.Attributes([]byte(`{"x":` + deep(30) + `}`))["x"]; reflect.TypeOf(got) != reflect.TypeOf(map[string]any{}) {
		t.Errorf("a value nested 30 deep is %v", got)
	}
	if got, want := zio.Attributes([]byte(`{"\ud800":1,"ok":2}`)), map[string]any{"\ufffd": zio.UnreadSurrogate, "ok": int64(2)}; !reflect.DeepEqual(got, want) {
		t.Errorf("half a character in a key: %v", got)
	}
}

// TestAttributesAreBounded: a label of a mebibyte makes neither many values nor
// many keys of it.
func TestAttributesAreBounded(t *testing.T) {
	t.Parallel()
	var many strings.Builder
	many.WriteString(`{"first":1`)
	for i := range 100_000 {
		fmt.Fprintf(&many, `,"k%d":1`, i)
	}
	got := zio.Attributes([]byte(many.String() + "}"))
	if len(got) != 4096 || got["first"] != int64(1) {
		t.Errorf("%d keys were read of 100,001, first is %v", len(got), got["first"])
	}
	label := `{"a":[` + strings.Repeat("1,", 30_000) + `1],"b":[` + strings.Repeat("1,", 30_000) + `1],"c":7}`
	got = zio.Attributes([]byte(label))
	if list, _ := got["a"].([]any); len(list) != 30_001 || got["b"] != zio.UnreadLong || got["c"] != int64(7) {
		t.Errorf("a has %d elements, b is %.50v, c is %v", len(list), got["b"], got["c"])
	}
}

// FuzzAttributes holds Attributes against encoding/json, where both can read.
func FuzzAttributes(f *testing.F) {
	for _, seed := range []string{
		`{"a":[1,-2.5e+3,true,false,null,{"b":"\u00e9\"\\"}],"flow":"EOT"}`, `{"a":1,"a":2}`, `{"x":"\ud800\udc00"}`,
		`{"x":"\ud800"}`, `{"n":1e999}`, ` {"a":NaN} `, `{"b":18446744073709551616}`, `{}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, label []byte) {
		got := zio.Attributes(label)
		want, err := decodeJSON(label)
		if err != nil || want == nil {
			return
		}
		for key, value := range got {
			if _, unread := value.(zio.Unread); unread {
				continue
			}
			if is, expected := mustJSON(t, value), plainNumbers(want[key]); is != mustJSON(t, expected) {
				t.Fatalf("%q: %s is %s, want %v", label, key, is, expected)
			}
		}
	})
}

// plainNumbers has numbers as Attributes has them.
func plainNumbers(value any) any {
	switch v := value.(type) {
	case json.Number:
		if i, err := v.Int64(); err == nil {
			return i
		}
		var u uint64
		if json.Unmarshal([]byte(v), &u) == nil {
			return u
		}
		f, _ := v.Float64()
		return f
	case []any:
		for i := range v {
			v[i] = plainNumbers(v[i])
		}
	case map[string]any:
		for key := range v {
			v[key] = plainNumbers(v[key])
		}
	}
	return value
}
