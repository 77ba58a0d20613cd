package zioflow_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"reflect"
	"slices"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	zioflow "github.com/zioflow/gateway/clients/go"
)

// far is attributes that a less careful way would change.
var far = map[string]any{
	"ort": "Genève 日本 🚀 <&>", "leer": "", "nil": nil, "wahr": true,
	"min": int64(math.MinInt64), "odd": int64(1<<53 + 1), "max": uint64(math.MaxUint64),
	"pi": 3.25, "list": []any{int64(1<<62 + 1), "x", map[string]any{"é": uint64(1 << 63)}},
	"huge": json.Number("123456789012345678901234567890"),
}

func TestBot_attributes(t *testing.T) {
	setup{}.run(t, func(t *testing.T, _ *memory, g *zioflow.Gateway) {
		handle(t, g, zioflow.Listener{Name: "echo", Match: `attributes.odd == 9007199254740993`},
			func(ctx context.Context, o *zioflow.Offer) error {
				if !reflect.DeepEqual(o.Attributes, far) {
					t.Errorf("offered %v", o.Attributes)
				}
				_, err := o.Give(ctx, o.Bot) // as native handlers do
				<-ctx.Done()
				return err
			})
		taker, err := g.Take(t.Context(), zioflow.Bot{Credit: 1, Attributes: far})
		if err != nil {
			t.Fatal(err)
		}
		if got := taker.Bot(); !reflect.DeepEqual(got.Attributes, far) {
			t.Errorf("answered %v", got.Attributes)
		}
	})
}

func TestBot_label(t *testing.T) {
	for name, c := range map[string]struct{ bot, want zioflow.Bot }{
		"label": {
			zioflow.Bot{Label: []byte(`{ "a" : 1e2 , "b":"ü" }`)},
			zioflow.Bot{Label: []byte(`{"a" : 1e2,"b":"ü","flow":"BOT","direction":"extract","credit":2}`)},
		},
		"both": {
			zioflow.Bot{Label: []byte(`{"a":1.50,"n":9007199254740993}`), Attributes: map[string]any{"a": "<é>"}},
			zioflow.Bot{Label: []byte(`{"a":"<é>","n":9007199254740993,"flow":"BOT","direction":"extract","credit":2}`)},
		},
		"relayed": {
			zioflow.Bot{Label: []byte(`{"flow":"EOT","cid":77,"credit":900,"direction":"inject","n":0.10}`)},
			zioflow.Bot{Label: []byte(`{"n":0.10,"flow":"BOT","direction":"extract","credit":2}`)},
		},
		"none": {
			zioflow.Bot{},
			zioflow.Bot{Label: []byte(`{"flow":"BOT","direction":"extract","credit":2}`)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			setup{}.run(t, func(t *testing.T, _ *memory, g *zioflow.Gateway) {
				handle(t, g, zioflow.Listener{Name: "giver"}, func(ctx context.Context, o *zioflow.Offer) error {
					_, err := o.Give(ctx, c.bot)
					<-ctx.Done()
					return err
				})
				taker, err := g.Take(t.Context(), zioflow.Bot{Credit: 2})
				if err != nil {
					t.Fatal(err)
				}
				if got := string(taker.Bot().Label); got != string(c.want.Label) {
					t.Errorf("got  %s\nwant %s", got, c.want.Label)
				}
			})
		})
	}
}

func TestBot_invalid(t *testing.T) {
	setup{dial: []zioflow.DialOption{zioflow.WithMaxMessage(1000)}}.run(t, func(t *testing.T, m *memory, g *zioflow.Gateway) {
		for want, bots := range map[error][]zioflow.Bot{
			zioflow.ErrInvalid: {
				{Level: 9},
				{Label: []byte(`[]`)},
				{Label: []byte(`{"a":`)},
				{Label: []byte("{\"a\":\"\xff\"}")},
				{Attributes: map[string]any{"cid": 4}},
				{Attributes: map[string]any{"flow": "BOT"}},
				{Attributes: map[string]any{"a": math.NaN()}},
				{Attributes: map[string]any{"a": make(chan int)}},
			},
			zioflow.ErrTooLarge: {{Payload: [][]byte{make([]byte, 1000+64<<10)}}},
		} {
			for _, bot := range bots {
				_, give := g.Give(t.Context(), bot)
				_, take := g.Take(t.Context(), bot)
				_, all := g.PutAll(t.Context(), bot, zioflow.Dats(slices.Values([]zioflow.Dat{})))
				for _, err := range []error{give, take, all} {
					if !errors.Is(err, want) {
						t.Errorf("%.40s %v %d: %v, want %v", bot.Label, bot.Attributes, bot.Level, err, want)
					}
				}
			}
		}
		if flows := m.broker.Flows(); len(flows) != 0 {
			t.Errorf("the gateway has seen %v", flows)
		}
	})
}

// odd is data that a less careful way would change.
var odd = []zioflow.Dat{
	{},
	{Payload: [][]byte{{}}},
	{Payload: [][]byte{bytes.Repeat([]byte{1}, 1), bytes.Repeat([]byte{2}, 254), bytes.Repeat([]byte{3}, 255), bytes.Repeat([]byte{4}, 70_000), {}}},
	{Payload: [][]byte{{}, {}, []byte("x")}, Origin: math.MaxUint64, Granule: math.MaxUint64, Level: 8},
	{Label: []byte(`{"flow":"DAT", "n":18446744073709551615, "ort":"Genève 🚀", "f":1.50, "n":1}`)},
	{Label: []byte(` { "ort" : "Genève" } `), Granule: 1},
}

func checkOdd(t *testing.T, i int, got zioflow.Dat) {
	t.Helper()
	want := odd[i]
	switch i {
	default:
		want.Label = []byte(`{"flow":"DAT"}`)
	case 4: // crosses byte for byte
	case 5:
		want.Label = []byte(`{"flow":"DAT","ort" : "Genève"}`)
	}
	want.Seqno = uint64(i) + 1
	if want.Granule == 0 && got.Granule > 0 {
		want.Granule = got.Granule
	}
	if len(want.Payload) == 0 {
		want.Payload = nil
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%d: got  %.300v\nwant %.300v", i, got, want)
	}
}

func TestDat(t *testing.T) {
	eachWay(t, 2, func(t *testing.T, giver *zioflow.Giver, taker *zioflow.Taker) {
		given := background(func() error {
			for _, dat := range odd {
				if err := giver.Put(t.Context(), dat); err != nil {
					return err
				}
			}
			return giver.Close(t.Context())
		})
		i := 0
		for dat, err := range taker.All(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			checkOdd(t, i, dat)
			i++
		}
		if err := <-given; err != nil || i != len(odd) {
			t.Errorf("%v after %d", err, i)
		}
	})
}

// TestDat_keptByNobody changes the payload after Put has returned.
func TestDat_keptByNobody(t *testing.T) {
	eachWay(t, 2, func(t *testing.T, giver *zioflow.Giver, taker *zioflow.Taker) {
		payload := []byte("before")
		if err := giver.Put(t.Context(), zioflow.Dat{Payload: [][]byte{payload}}); err != nil {
			t.Fatal(err)
		}
		copy(payload, "behind")
		if got, err := take(t, taker, 1); err != nil || got[0] != "before" {
			t.Errorf("took %v, %v", got, err)
		}
	})
}

// TestGiver_Put_invalid shows that what can't be sent costs neither credit nor
// the flow.
func TestGiver_Put_invalid(t *testing.T) {
	setup{dial: []zioflow.DialOption{zioflow.WithMaxMessage(1000)}}.run(t, func(t *testing.T, _ *memory, g *zioflow.Gateway) {
		giver, taker := pair(t, g, 1, true)
		for want, dat := range map[error]zioflow.Dat{
			zioflow.ErrInvalid:  {Label: []byte("x")},
			zioflow.ErrTooLarge: {Payload: [][]byte{make([]byte, 1000+64<<10)}},
		} {
			if err := giver.Put(t.Context(), dat); !errors.Is(err, want) {
				t.Errorf("Put: %v, want %v", err, want)
			}
		}
		closed := background(func() error {
			put(t, giver, "a")
			return giver.Close(t.Context())
		})
		if got, err := take(t, taker, 2); !errors.Is(err, io.EOF) || !slices.Equal(got, []string{"a"}) {
			t.Errorf("took %v, %v", got, err)
		}
		if err := <-closed; err != nil {
			t.Error(err)
		}
	})
}

func TestTaker_Next_tooLarge(t *testing.T) {
	setup{dial: []zioflow.DialOption{zioflow.WithMaxMessage(1)}}.run(t, func(t *testing.T, m *memory, g *zioflow.Gateway) {
		taker, err := g.Take(t.Context(), zioflow.Bot{Credit: 1, Attributes: map[string]any{"size": 70_000}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := taker.Next(t.Context()); status.Code(err) != codes.ResourceExhausted {
			t.Errorf("Next: %v", err)
		}
	})
}

// TestDat_large sends as much as a gateway takes that nobody configured.
func TestDat_large(t *testing.T) {
	setup{}.run(t, func(t *testing.T, _ *memory, g *zioflow.Gateway) {
		giver, taker := pair(t, g, 1, true)
		large := make([]byte, 64<<20)
		large[len(large)-1] = 1
		given := background(func() error {
			if err := giver.Put(t.Context(), zioflow.Dat{Payload: [][]byte{large}}); err != nil {
				return err
			}
			return giver.Close(t.Context())
		})
		dat, err := taker.Next(t.Context())
		if err != nil || !bytes.Equal(dat.Payload[0], large) {
			t.Fatalf("Next: %v", err)
		}
		if _, err := taker.Next(t.Context()); !errors.Is(err, io.EOF) {
			t.Error(err)
		}
		if err := <-given; err != nil {
			t.Error(err)
		}
	})
}

// TestNewGateway leaves alone the connection that it was given.
func TestNewGateway(t *testing.T) {
	setup{}.run(t, func(t *testing.T, m *memory, _ *zioflow.Gateway) {
		conn, err := grpc.NewClient("passthrough:///memory", dialer(m.Listener),
			grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		for range 2 {
			g := zioflow.NewGateway(conn, zioflow.WithMaxMessage(1000))
			giver, err := g.Give(t.Context(), zioflow.Bot{Credit: 1})
			if err != nil {
				t.Fatal(err)
			}
			if err := giver.Put(t.Context(), zioflow.Dat{Payload: [][]byte{make([]byte, 70_000)}}); !errors.Is(err, zioflow.ErrTooLarge) {
				t.Errorf("Put: %v", err)
			}
			if err := giver.Close(t.Context()); err != nil {
				t.Error(err)
			}
			if err := g.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}
