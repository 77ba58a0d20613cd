package conns

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/net/http2"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestFramesInPieces: frames are the same in whatever pieces they pass.
func TestFramesInPieces(t *testing.T) {
	t.Parallel()
	var text bytes.Buffer
	text.WriteString("preface")
	framer := http2.NewFramer(&text, nil)
	_ = framer.WriteSettings()
	_ = framer.WriteData(1, false, make([]byte, 70_000))
	_ = framer.WriteGoAway(7, http2.ErrCodeEnhanceYourCalm, []byte("too_many_pings"))
	_ = framer.WriteData(1, true, nil)
	_ = framer.WriteGoAway(8, http2.ErrCodeNo, make([]byte, 2*keptBody))
	_ = framer.WriteRSTStream(3, http2.ErrCodeFrameSize)
	want := "SETTINGS 0 0 DATA 70000 0 GOAWAY 22 22 DATA 0 0 GOAWAY 1032 512 RST_STREAM 4 4"
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, 0))
		var got []string
		f := frames{skip: len("preface"), wants: telling, saw: func(kind http2.FrameType, length int, body []byte) {
			got = append(got, fmt.Sprint(kind, " ", length, " ", len(body)))
			if strings.Contains(got[len(got)-1], " 22 ") && string(body[8:]) != "too_many_pings" {
				t.Errorf("the body is %q", body)
			}
		}}
		for rest := text.Bytes(); len(rest) > 0; {
			n := min(len(rest), 1+random.IntN(1+random.IntN(20_000)))
			f.pass(rest[:n])
			rest = rest[n:]
		}
		if all := strings.Join(got, " "); all != want {
			t.Errorf("seed %d: %s, want %s", seed, all, want)
		}
	}
}
