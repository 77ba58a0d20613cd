package main

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"
)

// TestPictures: docs/pictures shows what flows and top show now, but for numbers, in a gateway
// where one flow goes at the giver's pace, one at the taker's, and one waits for a taker that
// does not read. scripts/pictures.sh draws them anew.
func TestPictures(t *testing.T) {
	t.Parallel()
	environment := program(t, serving(t)["grpc"].(string))
	x := newTmux(t, environment)
	x.tmux("resize-window", "-x", "200", "-y", "12") // with room for who holds a flow up just now
	x.enters(`PS1='$ '; clear; (
gateway get --match 'attributes.stream == "calib"' - | sleep 1000 &
until gateway listeners | grep -q calib; do sleep 0.1; done
gateway put --count 1000000000 --size 100000 --credit 2 --timeout 1h stream=calib run=4711 &
until gateway flows | grep -q calib; do sleep 0.1; done
gateway put --count 1000000000 --size 65536 builtin=dump stream=raw run=4711 &
until gateway flows | grep -q raw; do sleep 0.1; done
gateway get builtin=generate count=99999999 size=1024 stream=trigger &
sleep 1000 ) >/dev/null 2>&1 &`)
	x.until("gateway flows -s active | grep -q trigger && gateway flows | grep -q '1  active  *0/2  taker [0-9]*%.*calib'")
	x.clear()
	x.enters("gateway flows")
	x.wait(`^ +1  active .*stream=calib$`)
	x.wait(`^\$$`) // the prompt that follows
	picture(t, x, "flows")
	x.clear()
	x.enters("gateway top --sort id --interval 500ms")
	x.wait(`^ +3  active .*█.*stream=trigger$`)
	x.wait(`^ +1  active +▁{8}.*stream=calib$`)
	x.wait(`^data .*[▁▂▃▄▅▆▇█]{8} +queued`)
	picture(t, x, "top")
	x.press("q")
}

// picture compares what is seen with the picture of that name, or draws it if the environment
// has DRAW_PICTURES.
func picture(t *testing.T, x *tmux, name string) {
	t.Helper()
	path := filepath.Join("..", "..", "docs", "pictures", name+".svg")
	if os.Getenv("DRAW_PICTURES") != "" {
		if err := os.WriteFile(path, []byte(drawn(x.screen("-e"))), 0o644); err != nil { //nolint:gosec // for everybody
			t.Fatal(err)
		}
		return
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var was strings.Builder
	for _, line := range regexp.MustCompile(`(?s)<text[^>]*>(.*?)</text>`).FindAllStringSubmatch(string(text), -1) {
		was.WriteString(regexp.MustCompile(`<[^>]*>`).ReplaceAllString(line[1], "") + "\n")
	}
	words := strings.NewReplacer("&lt;", "<", "&gt;", ">", "&amp;", "&", "&#34;", `"`, "&#39;", "'", "\u00a0", " ")
	if is, want := masked(x.screen()), masked(words.Replace(was.String())); is != want {
		t.Errorf("%s is\n%s\nand in the picture\n%s\nscripts/pictures.sh draws it anew", name, is, want)
	}
}

var (
	bars = regexp.MustCompile(`[▁▂▃▄▅▆▇█]+`)
	// justNow is shown where somebody else holds a flow up than did for most of the time.
	justNow = regexp.MustCompile(`, now (giver|taker|gateway)\b`)
)

// masked is a screen without what differs from one moment to the next.
func masked(screen string) string {
	lines := strings.Split(numbersAside(bars.ReplaceAllString(justNow.ReplaceAllString(screen, ""), "|")), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(strings.ReplaceAll(line, "# # ", "# "), " ")
	}
	return strings.TrimRight(strings.Join(lines, "\n"), "\n")
}

const cellWidth, cellHeight = 8.4, 18

// drawn is a screen with its colours as SVG.
func drawn(screen string) string {
	lines := strings.Split(screen, "\n")
	columns := 0
	for _, line := range lines {
		columns = max(columns, ansi.StringWidth(line))
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %d" font-family="ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="14">
<rect width="100%%" height="100%%" rx="6" fill="#1b1f24"/>
`, float64(columns)*cellWidth+24, len(lines)*cellHeight+24)
	for i, line := range lines {
		fmt.Fprintf(&b, `<text x="12" y="%d" fill="#d5dae0" xml:space="preserve" textLength="%.0f">%s</text>`+"\n",
			(i+1)*cellHeight+6, float64(ansi.StringWidth(line))*cellWidth, spans(line))
	}
	return b.String() + "</svg>\n"
}

// spans are the parts of a line that look alike.
func spans(line string) string {
	var b, text strings.Builder
	look := map[string]string{}
	flush := func() {
		if text.Len() == 0 {
			return
		}
		var escaped strings.Builder
		_ = xml.EscapeText(&escaped, []byte(text.String())) // never fails
		shown := strings.ReplaceAll(escaped.String(), " ", "\u00a0")
		if style := cmp.Or(look["fill"], "") + look["weight"] + look["opacity"]; style != "" {
			shown = "<tspan" + style + ">" + shown + "</tspan>"
		}
		b.WriteString(shown)
		text.Reset()
	}
	var state byte
	for rest := line; len(rest) > 0; {
		sequence, width, n, next := ansi.DecodeSequence(rest, state, nil)
		rest, state = rest[n:], next
		switch {
		case width > 0 || sequence == " ":
			text.WriteString(sequence)
		case strings.HasSuffix(sequence, "m"):
			flush()
			attributes(look, strings.TrimSuffix(strings.TrimPrefix(sequence, "\x1b["), "m"))
		}
	}
	flush()
	return b.String()
}

// attributes changes how text looks by the numbers of an escape sequence.
func attributes(look map[string]string, numbers string) {
	fills := map[int]string{31: "#ff7b72", 32: "#7ee787", 33: "#e3b341"}
	for word := range strings.SplitSeq(numbers, ";") {
		n, _ := strconv.Atoi(word)
		switch n {
		case 0:
			clear(look)
		case 1:
			look["weight"] = ` font-weight="bold"`
		case 2:
			look["opacity"] = ` opacity="0.6"`
		case 7:
			look["fill"] = ` fill="#79c0ff"`
		case 27, 39:
			delete(look, "fill")
		default:
			if fill, is := fills[n]; is {
				look["fill"] = ` fill="` + fill + `"`
			}
		}
	}
}
