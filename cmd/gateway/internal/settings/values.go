package settings

import (
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/zioflow/gateway/internal/text"
)

// What an option takes, in words.
const (
	wantSize     = "a number of bytes, such as 65536, 64MiB or 1.5GB"
	wantDuration = "a time with its unit, such as 30s, 5m or 1h30m"
	wantInteger  = "a whole number"
	wantCount    = "a whole number, 0 or more"
	wantNumber   = "a number"
	wantLevel    = "debug, info, warn or error"
	wantSwitch   = "true or false"
)

// Values are the options by which kong reads values, and says what is wrong with them in
// the same words wherever they come from.
func Values() []kong.Option {
	return []kong.Option{
		reads(wantDuration, duration),
		reads(wantInteger, whole[int](strconv.ParseInt, strconv.IntSize)),
		reads(wantInteger, whole[int32](strconv.ParseInt, 32)),
		reads(wantInteger, whole[int64](strconv.ParseInt, 64)),
		reads(wantCount, whole[uint32](strconv.ParseUint, 32)),
		reads(wantCount, whole[uint64](strconv.ParseUint, 64)),
		reads("a port, 0 to 65535", func(s string) (uint16, error) {
			n, err := strconv.ParseUint(s, 10, 16)
			if err != nil {
				err = errors.New("is no port") // what can be is said in any case
			}
			return uint16(n), err
		}),
		reads(wantNumber, func(s string) (float64, error) { return strconv.ParseFloat(s, 64) }),
		reads(wantLevel, func(s string) (level slog.Level, err error) {
			if strings.ContainsAny(s, "+-") { // the library knows levels between them
				return level, errors.New("is no level")
			}
			return level, level.UnmarshalText([]byte(s))
		}),
	}
}

// octal is how a number begins that is another one for who reads it as decimal.
var octal = regexp.MustCompile(`^[-+]?0[0-9_]`)

// whole reads whole numbers of so many bits as the library does: decimal ones, and others with
// 0x, 0o or 0b.
func whole[T int | int32 | int64 | uint32 | uint64, N int64 | uint64](
	parse func(s string, base, bits int) (N, error), bits int,
) func(string) (T, error) {
	return func(s string) (T, error) {
		if octal.MatchString(s) {
			return 0, errors.New("is no number")
		}
		n, err := parse(s, 0, bits)
		return T(n), err
	}
}

// span is what has the form of a time, however long.
var span = regexp.MustCompile(`^[-+]?((\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h))+$`)

// duration reads a time. The library does not tell one that is too long from what is none.
func duration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil && span.MatchString(s) {
		err = strconv.ErrRange
	}
	return d, err
}

// longest is how many bytes of a wrong value are told.
const longest = 100

// refused is what is wrong with a value.
func refused(value, want string, err error) error {
	if errors.Is(err, strconv.ErrRange) {
		return fmt.Errorf("is %q, which is beyond what can be: want %s", text.Cut(value, longest), want)
	}
	return fmt.Errorf("is %q, want %s", text.Cut(value, longest), want)
}

// reads has kong read a type so.
func reads[T any](want string, parse func(string) (T, error)) kong.Option {
	return kong.TypeMapper(reflect.TypeFor[T](), kong.MapperFunc(func(ctx *kong.DecodeContext, target reflect.Value) error {
		token, err := ctx.Scan.PopValue("value")
		if err != nil {
			return fmt.Errorf("has no value, want %s", want)
		}
		given := fmt.Sprint(token.Value)
		value, err := parse(given)
		if err != nil {
			return refused(given, want, err)
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
		short := v.String()
		if strings.HasSuffix(short, "m0s") {
			short = strings.TrimSuffix(short, "0s")
		}
		if strings.HasSuffix(short, "h0m") {
			short = strings.TrimSuffix(short, "0m")
		}
		return short
	case slog.Level:
		return strings.ToLower(v.String())
	case Size:
		if short := v.String(); short != strconv.FormatInt(int64(v), 10) {
			return short
		}
		return int64(v)
	case []string, bool, int, int64, uint16, float64, string:
		return v
	}
	return fmt.Sprint(value)
}
