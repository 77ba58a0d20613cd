package settings

import (
	"errors"
	"math"
	"regexp"
	"strconv"
	"strings"

	"github.com/dustin/go-humanize"
)

// Size is a number of bytes, written with or without a unit: 65536, 64KiB, 1.5GB. A unit
// with an i counts by 1024, one without by 1000.
type Size int64

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Size) UnmarshalText(text []byte) error {
	n, err := parseSize(string(text))
	if err != nil {
		return refused(string(text), wantSize, err)
	}
	*s = n
	return nil
}

var (
	// tooLarge is what has the form of a size, whether or not it can be one.
	tooLarge = regexp.MustCompile(`(?i)^\d+(\.\d+)? ?([kmgtpe]i?)?b?$`)
	// ofBytes is a number of bytes that are not counted in a larger unit.
	ofBytes = regexp.MustCompile(`(?i)^[\d.]+ ?b?$`)
)

func parseSize(text string) (Size, error) {
	if strings.ContainsAny(text, ",+") { // the library takes a comma for one between thousands
		return 0, errors.New("is no size")
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return Size(n), nil // exactly, and below 0 for who checks it
	}
	n, err := humanize.ParseBytes(text)
	switch {
	case tooLarge.MatchString(text) && (err != nil || n > math.MaxInt64):
		return 0, strconv.ErrRange
	case err != nil || n > math.MaxInt64:
		return 0, errors.New("is no size")
	case strings.Contains(text, ".") && (n == 0 || ofBytes.MatchString(text)):
		return 0, errors.New("is no whole byte")
	}
	return Size(n), nil
}

// String is the number with the largest unit that leaves it whole.
func (s Size) String() string {
	for _, unit := range []struct {
		name  string
		bytes Size
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"GB", 1e9}, {"MB", 1e6}} {
		if s != 0 && s%unit.bytes == 0 {
			return strconv.FormatInt(int64(s/unit.bytes), 10) + unit.name
		}
	}
	return strconv.FormatInt(int64(s), 10)
}
