package relay

import (
	"log/slog"
	"math"
	"slices"
	"time"

	"github.com/zioflow/gateway/broker/flow"
	"github.com/zioflow/gateway/broker/zio"
	"github.com/zioflow/gateway/internal/text"
)

// How much of a client's attributes the line has with which a flow ends, in bytes: of the
// text of all, and of a label that is looked at.
const (
	loggedAttributes = 512
	loggedLabel      = 4 << 10
)

// ownFields are a BOT's members that are told by other fields, or mean nothing any more.
var ownFields = []string{"flow", "direction", "credit", "cid"}

// sayEnded logs how the flow has been. f.mu is held.
func (f *Flow) sayEnded(kind string) {
	lasted, crossed := f.ended.Sub(f.opened), f.account.Crossed
	line := []any{
		"flow", f.id, "reason", f.state.Reason().String(), "detail", f.state.Detail(),
		"client", f.infos[flow.Client], "handler", f.infos[flow.Handler], "route", f.route(),
		"messages", crossed.Messages, "bytes", crossed.Bytes, "duration", lasted.Round(time.Microsecond),
	}
	if seconds := lasted.Seconds(); seconds > 0 && crossed.Messages > 0 {
		line = append(line, "messages_per_second", tenths(float64(crossed.Messages)/seconds),
			"bytes_per_second", tenths(float64(crossed.Bytes)/seconds))
	}
	for side, name := range []string{flow.Client: "client_agent", flow.Handler: "handler_agent"} {
		if agent := f.infos[side].Agent; agent != "" {
			line = append(line, name, agent)
		}
	}
	f.host.say(slog.LevelInfo, kind, f.infos[flow.Client], "flow ended", append(line, "attributes", attributesText(f.label))...)
}

func tenths(x float64) float64 { return math.Round(10*x) / 10 }

// attributesText is a label's own attributes as JSON, cut; empty of a label that is long.
func attributesText(label []byte) string {
	if len(label) > loggedLabel {
		return ""
	}
	words := []byte{'{'}
	for key, member := range zio.Members(label) {
		if slices.Contains(ownFields, key) || member.Err != nil {
			continue
		}
		if len(words) > 1 {
			words = append(words, ',')
		}
		words = append(append(append(words, zio.Quote(key)...), ':'), member.Text...)
		if len(words) > loggedAttributes {
			break
		}
	}
	return text.Cut(string(words)+"}", loggedAttributes)
}
