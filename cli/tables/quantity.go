package tables

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
)

// Bytes are a number of bytes in the unit that suits it: 79 MiB.
func Bytes[N int64 | uint64](n N) string { return humanize.IBytes(uint64(max(n, 0))) }

// ByteRate is Bytes of each second; nothing for none.
func ByteRate(perSecond float64) string {
	if perSecond < 0.05 {
		return ""
	}
	return humanize.IBytes(uint64(math.Ceil(perSecond))) + "/s"
}

// Rate is how many in each second; nothing for none.
func Rate(perSecond float64) string {
	switch {
	case perSecond < 0.05:
		return ""
	case perSecond < 10:
		return strconv.FormatFloat(perSecond, 'f', 1, 64) + "/s"
	default:
		return humanize.Comma(int64(math.Round(perSecond))) + "/s"
	}
}

// Count is a number with commas.
func Count[N int | int64 | uint64](n N) string { return humanize.Comma(int64(n)) }

// Span is a time in its two greatest units: 850ms, 12s, 2m5s, 3h12m, 4d3h.
func Span(d time.Duration) string {
	switch {
	case d < 0:
		return "0s"
	case d < time.Second:
		return fmt.Sprintf("%dms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm%ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh%dm", int(d.Hours()), int(d.Minutes())%60)
	default:
		return fmt.Sprintf("%dd%dh", int(d.Hours())/24, int(d.Hours())%24)
	}
}

// Moment is a time of day in the reader's zone, to the second.
func Moment(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05") }

// Sparkline draws the last values of a series, one column each, from 0 to the greatest of
// them. Where there are fewer than columns, they stand at the right; NaN is a gap.
func Sparkline(series []float64, columns int) string {
	const bars = "▁▂▃▄▅▆▇█"
	levels := []rune(bars)
	series = series[max(0, len(series)-columns):]
	most := 0.0
	for _, value := range series {
		if value > most { // NaN is not
			most = value
		}
	}
	var b strings.Builder
	b.WriteString(strings.Repeat(" ", columns-len(series)))
	for _, value := range series {
		if math.IsNaN(value) {
			b.WriteByte(' ')
			continue
		}
		level := 0
		if most > 0 {
			level = int(math.Ceil(value / most * float64(len(levels)-1)))
		}
		b.WriteRune(levels[min(max(level, 0), len(levels)-1)])
	}
	return b.String()
}
