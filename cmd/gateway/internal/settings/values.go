package settings

import (
	"fmt"
	"log/slog"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

// What an option takes, in words.
const (
	wantSize     = "a number of bytes, such as 65536, 64MiB or 1.5GB"
	wantDuration = "a time with its unit, such as 30s, 5m or 1h30m"
	wantInteger  = "a whole number"
	wantNumber   = "a number"
	wantLevel    = "debug, info, warn or error"
	wantSwitch   = "true or false"
)

// Values are the options by which kong reads values, and says what is wrong with them in
// the same words wherever they come from.
func Values() []kong.Option {
	return []kong.Option{
		reads(wantDuration, time.ParseDuration),
		reads(wantInteger, func(s string) (int, error) {
			n, err := strconv.ParseInt(s, 0, strconv.IntSize)
			return int(n), err
		}),
		reads(wantInteger, func(s string) (int64, error) { return strconv.ParseInt(s, 0, 64) }),
		reads("a port, 0 to 65535", func(s string) (uint16, error) {
			n, err := strconv.ParseUint(s, 10, 16)
			return uint16(n), err
		}),
		reads(wantNumber, func(s string) (float64, error) { return strconv.ParseFloat(s, 64) }),
		reads(wantLevel, func(s string) (level slog.Level, err error) {
			return level, level.UnmarshalText([]byte(s))
		}),
	}
}

// reads has kong read a type so.
func reads[T any](want string, parse func(string) (T, error)) kong.Option {
	return kong.TypeMapper(reflect.TypeFor[T](), kong.MapperFunc(func(ctx *kong.DecodeContext, target reflect.Value) error {
		token, err := ctx.Scan.PopValue("value")
		if err != nil {
			return fmt.Errorf("has no value, want %s", want)
		}
		text := fmt.Sprint(token.Value)
		value, err := parse(text)
		if err != nil {
			return fmt.Errorf("is %q, want %s", text, want)
		}
		target.Set(reflect.ValueOf(value))
		return nil
	}))
}

// wants is what an option takes, in words.
func wants(flag *kong.Flag) string {
	if flag.Enum != "" {
		return either(flag.EnumSlice())
	}
	switch flag.Target.Interface().(type) {
	case Size:
		return wantSize
	case time.Duration:
		return wantDuration
	case int, int64, uint16:
		return wantInteger
	case float64:
		return wantNumber
	case bool:
		return wantSwitch
	case slog.Level:
		return wantLevel
	case []string, openFronts:
		return "a text, or a list of them"
	}
	return "a text"
}

// either is a choice in words.
func either(words []string) string {
	last := len(words) - 1
	if last < 1 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// written is a value as it would stand in a file, or on the command line.
func written(value any) any {
	switch v := value.(type) {
	case time.Duration:
		text := v.String()
		if strings.HasSuffix(text, "m0s") {
			text = strings.TrimSuffix(text, "0s")
		}
		if strings.HasSuffix(text, "h0m") {
			text = strings.TrimSuffix(text, "0m")
		}
		return text
	case slog.Level:
		return strings.ToLower(v.String())
	case Size:
		if text := v.String(); text != strconv.FormatInt(int64(v), 10) {
			return text
		}
		return int64(v)
	case []string, bool, int, int64, uint16, float64, string:
		return v
	}
	return fmt.Sprint(value)
}
