package zio_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/zioflow/gateway/broker/zio"
)

func TestPeek_MSG_12(t *testing.T) {
	t.Parallel()
	integer := func(n int64) zio.Number { return zio.Number{Value: n, Form: zio.Integer} }
	for label, want := range map[string]zio.Head{
		`{"flow":"DAT"}`:                                         {Type: zio.DAT},
		` { "flow" : "EOT" } `:                                   {Type: zio.EOT},
		`{"credit": 4, "flow": "PAY"}`:                           {Type: zio.PAY, Credit: integer(4)},
		`{"flow":"PAY","credit":-1}`:                             {Type: zio.PAY, Credit: integer(-1)},
		`{"flow":"PAY","credit":1.5}`:                            {Type: zio.PAY, Credit: zio.Number{Form: zio.NotInteger}},
		`{"flow":"PAY","credit":"3"}`:                            {Type: zio.PAY, Credit: zio.Number{Form: zio.NotInteger}},
		`{"flow":"PAY","credit":9223372036854775807}`:            {Type: zio.PAY, Credit: integer(math.MaxInt64)},
		`{"flow":"PAY","credit":99999999999999999999999}`:        {Type: zio.PAY, Credit: integer(math.MaxInt64)},
		`{"fl\u006fw":"D\u0041T"}`:                               {Type: zio.DAT},
		`{"x":{"flow":"PAY"},"flow":"BOT","y":[{"flow":1}]}`:     {Type: zio.BOT},
		`{"flow":"DAT","x":"\"flow\":\"EOT\"","x":9e99}`:         {Type: zio.DAT},
		`{"flow":"DAT","ort":"Genève","n":18446744073709551615}`: {Type: zio.DAT},
		// What Python's json writes for such numbers.
		`{"flow":"DAT","TENS":{"gain":[NaN, Infinity,-Infinity]}}`: {Type: zio.DAT},
		`{"flow":"PAY","credit":NaN}`:                              {Type: zio.PAY, Credit: zio.Number{Form: zio.NotInteger}},
	} {
		if got, err := zio.Peek([]byte(label)); err != nil || got != want {
			t.Errorf("%s: got %+v, %v; want %+v", label, got, err, want)
		}
	}
	for label, want := range map[string]string{
		``:                                     "not a JSON object",
		`[]`:                                   "not a JSON object",
		`{}`:                                   "no flow key",
		`{"Flow":"DAT"}`:                       "no flow key",
		`{"flow":"DAT","flow":"DAT"}`:          "flow twice",
		`{"flow":"DAT","\u0066low":1}`:         "flow twice",
		`{"flow":"PAY","credit":1,"credit":1}`: "credit twice",
		`{"flow":"FOO"}`:                       "unknown flow type",
		`{"flow":1}`:                           "unknown flow type",
		`{"flow":null}`:                        "unknown flow type",
		`{"flow":"DAT"`:                        "comma or closing brace",
		`{"flow":"DAT",}`:                      "lacks a key",
		`{"flow":"DAT"}x`:                      "text after the object",
		`{"flow":"DAT","x":01}`:                "comma or closing brace",
		`{"flow":"DAT","x":nul}`:               "not JSON",
		`{"flow":"DAT","x":nan}`:               "not JSON",
		`{"flow":"DAT","x":+Infinity}`:         "not JSON",
		`{"flow":"DAT","x":-NaN}`:              "not JSON",
		`{"flow":"DAT","x":NaNa}`:              "comma or closing brace",
		"{\"flow\":\"DAT\",\"x\":\"\n\"}":      "not JSON",
		"{\"flow\":\"DAT\",\"x\":\"\xff\"}":    "not UTF-8",
		`{"flow":"DAT","x":` + strings.Repeat("[", 300) + strings.Repeat("]", 300) + `}`: "not JSON",
	} {
		if got, err := zio.Peek([]byte(label)); !errors.Is(err, zio.ErrMalformed) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: got %+v, %v; want an error with %q", label, got, err, want)
		}
	}
}

// FuzzPeek holds Peek against a full parse by encoding/json.
func FuzzPeek(f *testing.F) {
	for _, seed := range []string{
		`{"flow":"DAT"}`, `{"flow": "PAY", "credit": 5}`, `{"credit":4,"direction":"extract","flow":"BOT","stream":"s1"}`,
		`{"a":[1,-2.5e+3,true,false,null,{"b":"\u00e9\"\\"}],"flow":"EOT"}`, `{"fl\u006fw":"DAT"}`,
		`{"flow":"DAT","flow":"EOT"}`, `{"flow":"DAT"} `, `[{"flow":"DAT"}]`, `{"flow":"PAY","credit":1.0}`, ``,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, label []byte) {
		got, err := zio.Peek(label)
		want, ok := peekByFullParse(label)
		if nesting(label) > 150 || beyondJSON(label) {
			return // refused here, accepted there, or the other way round
		}
		if ok != (err == nil) {
			t.Fatalf("%q: Peek says %v, the full parse %v %v", label, err, want, ok)
		}
		if ok && got.Type.String() != want.flow {
			t.Fatalf("%q: Peek says %v, the full parse %v", label, got.Type, want.flow)
		}
		if ok && got.Credit.Form != want.credit {
			t.Fatalf("%q: Peek says credit %v, the full parse %v", label, got.Credit, want.credit)
		}
	})
}

// beyondJSON tells whether a label may hold what is no JSON but accepted.
func beyondJSON(label []byte) bool {
	return bytes.Contains(label, []byte("NaN")) || bytes.Contains(label, []byte("Infinity"))
}

func nesting(label []byte) int {
	return strings.Count(string(label), "[") + strings.Count(string(label), "{")
}

type fullHead struct {
	flow   string
	credit zio.NumberForm
}

func peekByFullParse(label []byte) (fullHead, bool) {
	if !json.Valid(label) || !utf8.Valid(label) {
		return fullHead{}, false
	}
	decoder := json.NewDecoder(strings.NewReader(string(label)))
	decoder.UseNumber()
	if open, err := decoder.Token(); err != nil || open != json.Delim('{') {
		return fullHead{}, false
	}
	var head fullHead
	seen := map[string]int{}
	for decoder.More() {
		key, err := decoder.Token()
		if err != nil {
			return fullHead{}, false
		}
		var value any
		if err := decoder.Decode(&value); err != nil {
			return fullHead{}, false
		}
		name := key.(string)
		seen[name]++
		switch name {
		case "flow":
			head.flow, _ = value.(string)
		case "credit":
			head.credit = zio.NotInteger
			if n, ok := value.(json.Number); ok && !strings.ContainsAny(string(n), ".eE") {
				head.credit = zio.Integer
			}
		}
	}
	known := head.flow == "BOT" || head.flow == "PAY" || head.flow == "DAT" || head.flow == "EOT"
	return head, known && seen["flow"] == 1 && seen["credit"] <= 1
}

func TestParseBot(t *testing.T) {
	t.Parallel()
	integer := func(n int64) zio.Number { return zio.Number{Value: n, Form: zio.Integer} }
	for label, want := range map[string]zio.Bot{
		`{"flow":"BOT","direction":"extract","credit":3}`:          {Direction: zio.Extract, Credit: integer(3)},
		`{"flow":"BOT","direction":"inject","cid":1804289383}`:     {Direction: zio.Inject, CID: integer(1804289383)},
		`{"flow":"BOT","direction":"sideways","credit":0}`:         {Credit: integer(0)},
		`{"flow":"BOT","cid":"1"}`:                                 {CID: zio.Number{Form: zio.NotInteger}},
		`{"flow":"BOT","direction":7,"credit":null}`:               {Credit: zio.Number{Form: zio.NotInteger}},
		`{"flow":"BOT","stream":"cid","x":{"direction":"inject"}}`: {},
	} {
		if got, err := zio.ParseBot([]byte(label)); err != nil || got != want {
			t.Errorf("%s: got %+v, %v; want %+v", label, got, err, want)
		}
	}
	for _, key := range []string{"direction", "credit", "cid"} {
		label := `{"flow":"BOT","` + key + `":1,"` + key + `":2}`
		if _, err := zio.ParseBot([]byte(label)); !errors.Is(err, zio.ErrMalformed) {
			t.Errorf("%s: %v", label, err)
		}
	}
}

func TestRewriteBotKeepsTheRest_FLOW_22_BRK_2(t *testing.T) {
	t.Parallel()
	const label = `{ "n":18446744073709551615, "flow":"BOT","direction" :"extract","ort":"Gen\u00e8ve 雪","credit":4,"z":{"a" : [1.50]} }`
	for _, tt := range []struct {
		credit int64
		cid    uint64
		want   string
	}{
		{4, 7, `{"n":18446744073709551615,"flow":"BOT","direction":"inject","ort":"Gen\u00e8ve 雪","credit":4,"z":{"a" : [1.50]},"cid":7}`},
		{2, 0, `{"n":18446744073709551615,"flow":"BOT","direction":"inject","ort":"Gen\u00e8ve 雪","credit":2,"z":{"a" : [1.50]}}`},
		{0, 0, `{"n":18446744073709551615,"flow":"BOT","direction":"inject","ort":"Gen\u00e8ve 雪","z":{"a" : [1.50]}}`},
	} {
		got, err := zio.RewriteBot([]byte(label), zio.Inject, tt.credit, tt.cid)
		if err != nil || string(got) != tt.want {
			t.Errorf("got  %s, %v\nwant %s", got, err, tt.want)
		}
	}
	got, err := zio.RewriteBot([]byte(`{"cid":5,"flow":"BOT","direction":"inject"}`), zio.Extract, 3, 0)
	if want := `{"flow":"BOT","direction":"extract","credit":3}`; err != nil || string(got) != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
}

func TestSupply(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		label, want string
		t           zio.Type
		credit      int64
	}{
		{``, `{"flow":"DAT"}`, zio.DAT, 0},
		{``, `{"flow":"PAY","credit":3}`, zio.PAY, 3},
		{`{}`, `{"flow":"EOT"}`, zio.EOT, 0},
		{` {"a":1} `, `{"flow":"DAT","a":1}`, zio.DAT, 0},
		{`{ "a":1 ,"flow": "DAT"}`, `{ "a":1 ,"flow": "DAT"}`, zio.DAT, 0},
		{` { "credit": 3, "flow":"PAY"} `, ` { "credit": 3, "flow":"PAY"} `, zio.PAY, 3},
		{`{"credit":9,"flow":"PAY"}`, `{"credit":3,"flow":"PAY"}`, zio.PAY, 3},
	} {
		if got, err := zio.Supply([]byte(tt.label), tt.t, tt.credit); err != nil || string(got) != tt.want {
			t.Errorf("%v %s: got %s, %v; want %s", tt.t, tt.label, got, err, tt.want)
		}
	}
	for _, label := range []string{`{"flow":"PAY"}`, `7`, `{"flow":"DAT","flow":"DAT"}`, `{`} {
		if got, err := zio.Supply([]byte(label), zio.DAT, 0); !errors.Is(err, zio.ErrMalformed) {
			t.Errorf("%s: got %s, %v", label, got, err)
		}
	}
}

func FuzzEdit(f *testing.F) {
	f.Add([]byte(`{"a":1,"b":[],"cid":4}`), "b")
	f.Add([]byte(` {} `), "é\"")
	f.Fuzz(func(t *testing.T, label []byte, key string) {
		if !utf8.ValidString(key) || beyondJSON(label) {
			return
		}
		got, err := zio.Edit(label, zio.Member{Key: key, Value: []byte("7")}, zio.Member{Key: key + "x"})
		if err != nil {
			return
		}
		after, err := decodeJSON(got)
		if err != nil {
			t.Fatalf("%q became %q: %v", label, got, err)
		}
		if after[key] != json.Number("7") {
			t.Fatalf("%q became %q without %q", label, got, key)
		}
		var before map[string]any
		if len(label) > 0 {
			if before, err = decodeJSON(label); err != nil {
				t.Fatal(err)
			}
		}
		delete(before, key)
		delete(before, key+"x")
		delete(after, key)
		if want, is := mustJSON(t, before), mustJSON(t, after); len(before) > 0 && is != want {
			t.Fatalf("%q became %q: others %s, want %s", label, got, is, want)
		}
	})
}

// decodeJSON takes numbers as they stand: they may be beyond every float.
func decodeJSON(text []byte) (object map[string]any, err error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	err = decoder.Decode(&object)
	return object, err
}

func mustJSON(t *testing.T, v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestErrorLabel(t *testing.T) {
	t.Parallel()
	got := string(zio.ErrorLabel("peer_gone", "client \"x\"\n left"))
	if want := `{"flow":"EOT","error":"peer_gone","detail":"client \"x\"\n left"}`; got != want {
		t.Errorf("got %s", got)
	}
	if got, want := string(zio.ErrorLabel("draining", "")), `{"flow":"EOT","error":"draining"}`; got != want {
		t.Errorf("got %s", got)
	}
}
