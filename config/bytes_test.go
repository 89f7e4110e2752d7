package config_test

import (
	"testing"

	"osgate/config"
)

func TestBytesAreReadAndPrinted(t *testing.T) {
	for _, tt := range []struct {
		text    string
		want    config.Bytes
		printed string
	}{
		{"0", 0, "0"},
		{"1", 1, "1"},
		{"1025B", 1025, "1025"},
		{"1048576", 1 << 20, "1MiB"},
		{"11MiB", 11 << 20, "11MiB"},
		{"256MiB", 256 << 20, "256MiB"},
		{"1MB", 1e6, "1MB"},
		{"1 mb", 1e6, "1MB"},
		{"64KiB", 64 << 10, "64KiB"},
		{"1500kB", 1.5e6, "1500kB"},
		{"2GiB", 2 << 30, "2GiB"},
		{"3gb", 3e9, "3GB"},
		{"9223372036854775807", 1<<63 - 1, "9223372036854775807"},
		{"8589934591GiB", 8589934591 << 30, "8589934591GiB"},
	} {
		got, err := config.ParseBytes(tt.text)
		if err != nil || got != tt.want || got.String() != tt.printed {
			t.Errorf("ParseBytes(%q) = %d, printed %s, %v; want %d, printed %s", tt.text, got, got, err, tt.want, tt.printed)
		}
	}
}

func TestInvalidSizeIsRefused(t *testing.T) {
	for _, text := range []string{
		"", "B", "b", "MiB", " ", "-1", "+1", "1.5MiB", "1_000", "0x10", "1M", "1Mi", "1MiBB", "MiB1", " 1", "1 ", "1e3",
		"9223372036854775808", "8589934592GiB", "1TiB",
	} {
		if got, err := config.ParseBytes(text); err == nil {
			t.Errorf("ParseBytes(%q) = %d, want an error", text, got)
		}
	}
}

// FuzzBytesReadBackWhatTheyPrint checks that a printed size parses to the same size,
// and that no parsed size is negative.
func FuzzBytesReadBackWhatTheyPrint(f *testing.F) {
	for _, text := range []string{"0", "11MiB", "1MB", "1048576", "9223372036854775807", "1500 kB"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		size, err := config.ParseBytes(text)
		if err != nil {
			return
		}
		again, err := config.ParseBytes(size.String())
		if err != nil || again != size || size < 0 {
			t.Errorf("ParseBytes(%q) = %d, printed %s, read back as %d, %v", text, size, size, again, err)
		}
	})
}
