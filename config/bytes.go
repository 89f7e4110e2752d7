package config

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

// Bytes is a size in bytes.
type Bytes int64

// unit is a suffix of a size and the number of bytes that it means.
type unit struct {
	suffix string
	bytes  int64
}

// units returns the known suffixes, largest first: IEC 80000-13's powers of 1024 and
// SI's powers of 1000.
func units() []unit {
	return []unit{
		{"GiB", 1 << 30}, {"GB", 1e9},
		{"MiB", 1 << 20}, {"MB", 1e6},
		{"KiB", 1 << 10}, {"kB", 1e3},
	}
}

// ParseBytes parses a whole number with an optional unit: B, kB, MB, GB (powers of
// 1000) or KiB, MiB, GiB (powers of 1024), in any case, with or without a space before
// the unit. Its error does not contain text.
func ParseBytes(text string) (Bytes, error) {
	digits, factor := text, int64(1)
	for _, u := range append(units(), unit{"B", 1}) {
		if n := len(text) - len(u.suffix); n > 0 && strings.EqualFold(text[n:], u.suffix) {
			digits, factor = strings.TrimRight(text[:n], " "), u.bytes
			break
		}
	}
	n, err := strconv.ParseUint(digits, 10, 63)
	if err != nil || int64(n) > math.MaxInt64/factor {
		return 0, errors.New("not a size")
	}
	return Bytes(int64(n) * factor), nil
}

// String returns the size in the largest unit that divides it, such as "11MiB", "1MB"
// or "1025". [ParseBytes] parses it to the same size.
func (b Bytes) String() string {
	for _, u := range units() {
		if b != 0 && int64(b)%u.bytes == 0 {
			return strconv.FormatInt(int64(b)/u.bytes, 10) + u.suffix
		}
	}
	return strconv.FormatInt(int64(b), 10)
}
