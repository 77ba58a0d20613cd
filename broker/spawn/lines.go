package spawn

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/zioflow/gateway/broker/transport"
	"github.com/zioflow/gateway/internal/logs"
)

// Bounds of what a command gets into the log.
const (
	maxLine       = 1024 // bytes; the rest of a line is left out
	maxLinesASec  = 50   // what is beyond is counted
	linesInterval = time.Second
)

// routeLines bounds the lines about all commands of a route together: who opens
// flows has them started, and may do so as often as he likes.
var routeLines = logs.Options{Burst: 1000, Rate: 100}

// sayer logs a line of a kind about a command, unless there are too many about its
// route.
type sayer func(level slog.Level, kind, message string, arguments ...any)

func (f *Factory) sayer(id transport.FlowID) sayer {
	lines, route := f.spawner.lines, f.route
	return func(level slog.Level, kind, message string, arguments ...any) {
		arguments = append([]any{"flow", id, "route", route}, arguments...)
		lines.Log(context.Background(), level, kind, logs.Of(route, ""), message, arguments...)
	}
}

// lines logs what a command writes, line by line. It implements io.Writer; its
// methods may be called concurrently.
type lines struct {
	say    sayer
	stream string

	mu      sync.Mutex
	partial []byte    // guarded by mu; at most maxLine bytes and one more
	last    string    // guarded by mu; that is not empty
	since   time.Time // guarded by mu; when the present second began
	logged  int       // guarded by mu; in it
	dropped int       // guarded by mu; since the last one that was logged
}

func newLines(say sayer, stream string) *lines { return &lines{say: say, stream: stream} }

// Write implements io.Writer. It takes everything.
func (l *lines) Write(text []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for rest := text; len(rest) > 0; {
		part, after, ended := bytes.Cut(rest, []byte("\n"))
		l.partial = append(l.partial, part[:min(len(part), maxLine+1-len(l.partial))]...)
		if ended {
			l.put()
		}
		rest = after
	}
	return len(text), nil
}

// end logs what has not been yet. Nothing more is written.
func (l *lines) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.partial) > 0 {
		l.put()
	}
	l.tellDropped()
}

// lastLine returns the last line that is not empty.
func (l *lines) lastLine() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}

func (l *lines) tellDropped() {
	if l.dropped > 0 {
		l.say(slog.LevelWarn, "command_loud", "command writes too much", "stream", l.stream, "lines_left_out", l.dropped)
		l.dropped = 0
	}
}

// put logs the line that has come together. l.mu is held.
func (l *lines) put() {
	line := strings.ToValidUTF8(strings.TrimRight(string(l.partial[:min(len(l.partial), maxLine)]), "\r"), "\uFFFD")
	if len(l.partial) > maxLine {
		line += "…"
	}
	l.partial = l.partial[:0]
	if strings.TrimSpace(line) != "" {
		l.last = line
	}
	if now := time.Now(); now.Sub(l.since) >= linesInterval {
		l.since, l.logged = now, 0
	}
	if l.logged == maxLinesASec {
		l.dropped++
		return
	}
	l.logged++
	l.tellDropped()
	l.say(slog.LevelInfo, "command_output", "command: "+line, "stream", l.stream)
}
