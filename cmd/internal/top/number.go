package top

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"osgate/cmd/internal/table"
	"osgate/telemetry/board"
)

// number returns n as text: "1,234,567", and from ten million on "12.3M".
func number(n int64) string {
	if n > -10_000_000 && n < 10_000_000 {
		return grouped(n)
	}
	return large(float64(n))
}

// large returns f with a letter for its thousands.
func large(f float64) string {
	short := f
	for _, unit := range []string{"", "k", "M", "G", "T", "P"} {
		if math.Abs(short) < 999.5 {
			return strconv.FormatFloat(short, 'g', 3, 64) + unit
		}
		short /= 1000
	}
	return strconv.FormatFloat(f, 'e', 2, 64)
}

// grouped returns n with a comma between its thousands.
func grouped(n int64) string {
	digits := strconv.FormatInt(n, 10)
	first := 1
	if n < 0 {
		first = 2
	}
	for at := len(digits) - 3; at >= first; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return digits
}

// decimal returns f with one digit after the point below a hundred, otherwise with
// none.
func decimal(f float64) string {
	switch {
	case math.Abs(f) < 99.95:
		return strconv.FormatFloat(f, 'f', 1, 64)
	case math.Abs(f) < 1e7:
		return grouped(int64(math.Round(f)))
	}
	return large(f)
}

// bytesText returns a number of bytes as text, as the page does.
func bytesText(n int64) string {
	size := float64(n)
	for _, unit := range []string{"B", "KiB", "MiB", "GiB"} {
		if size < 1024 {
			return strconv.FormatFloat(size, 'g', max(3, len(strconv.Itoa(int(size)))), 64) + " " + unit
		}
		size /= 1024
	}
	return decimal(size) + " TiB"
}

// seconds returns a period given in seconds as text: "1s", "1m", "0.5s".
func seconds(f float64) string {
	if f >= 60 && math.Mod(f, 60) == 0 && f < 1e9 {
		return strconv.FormatInt(int64(f)/60, 10) + "m"
	}
	return strconv.FormatFloat(f, 'g', 4, 64) + "s"
}

// age returns a duration in its two largest units: "3d4h", "12m5s".
func age(d time.Duration) string {
	s := int64(d / time.Second)
	switch {
	case s < 60:
		return fmt.Sprintf("%ds", s)
	case s < 3600:
		return fmt.Sprintf("%dm%ds", s/60, s%60)
	case s < 86400:
		return fmt.Sprintf("%dh%dm", s/3600, s/60%60)
	}
	return fmt.Sprintf("%dd%dh", s/86400, s/3600%24)
}

// rateCell returns a cell with a rate per second.
func rateCell(s table.Style, perSecond float64) table.Cell {
	return table.Styled(s, "%s", decimal(perSecond))
}

func countCell(s table.Style, n int64) table.Cell { return table.Styled(s, "%s", number(n)) }

// msCell returns a cell with milliseconds, empty if q is empty.
func msCell(q board.Quantiles, ms float64) table.Cell {
	if q.Count == 0 {
		return table.Styled(table.Faint, "-")
	}
	return table.Text(decimal(ms))
}

// ratioCell returns a cell with part as a percentage of whole.
func ratioCell(part, whole int64) table.Cell {
	if whole <= 0 {
		return table.Styled(table.Faint, "-")
	}
	return table.Styled(table.Plain, "%.0f%%", 100*float64(part)/float64(whole))
}
