package top

import (
	"encoding/json"
	"flag"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"osgate/cmd/internal/table"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// busy returns an overview with traffic and problems of every kind, as the admin
// listener sends it.
func busy(t testing.TB) overview {
	t.Helper()
	body, err := os.ReadFile("testdata/overview.json")
	if err != nil {
		t.Fatal(err)
	}
	o, err := readOverview(http.StatusOK, body)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// The frames are updated with: go test ./cmd/internal/top -run
// TestFramesFitTheTerminal -update.
func TestFramesFitTheTerminal(t *testing.T) {
	const source = "http://127.0.0.1:8081"
	const lost = "NO ANSWER since 04:51:11 UTC, retrying: dial tcp 127.0.0.1:8081: connect: connection refused"
	for _, tt := range []struct {
		name string
		view
	}{
		{"80x24", view{width: 80, height: 24}},
		{"140x40", view{width: 140, height: 40}},
		{"40x24", view{width: 40, height: 24}},
		{"120 unbounded", view{width: 120}},
		{"80x24 color", view{width: 80, height: 24, color: true}},
		{"80x24 lost", view{width: 80, height: 24, color: true, lost: lost}},
		{"20x5", view{width: 20, height: 5}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.source = source
			got := frame(busy(t), tt.view) + "\n"
			golden(t, strings.ReplaceAll(tt.name, " ", "-"), got)
			fits(t, got[:len(got)-1], tt.view)
		})
	}
}

// golden compares a frame with a file of testdata, or rewrites the file.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("the frame differs (-golden +got):\n%s", diff)
	}
}

// ours matches the escape sequences that a frame may contain.
var ours = regexp.MustCompile(`\x1b\[[0-9;]*m`)

// fits fails the test if a frame contains any other control character, or is larger
// than the view.
func fits(t *testing.T, frame string, v view) {
	t.Helper()
	if !v.color && strings.Contains(frame, "\x1b") {
		t.Errorf("an escape sequence in a frame without color: %q", frame)
	}
	lines := strings.Split(ours.ReplaceAllString(frame, ""), "\n")
	if v.height > 0 && len(lines) > v.height {
		t.Errorf("%d lines, want at most %d", len(lines), v.height)
	}
	for i, l := range lines {
		if n := (table.Line{table.Text(l)}).Breadth(); n > v.width {
			t.Errorf("line %d has %d columns, want at most %d: %q", i+1, n, v.width, l)
		}
		if at := strings.IndexFunc(l, func(r rune) bool { return !unicode.IsPrint(r) }); at >= 0 {
			t.Errorf("line %d holds %q", i+1, l[at:])
		}
	}
}

func TestAFrameOfNothingShowsOnlyWhatThereIs(t *testing.T) {
	for _, v := range []view{{width: 80, height: 24}, {width: 1, height: 1}, {width: 80, height: 2}, {width: 80, height: 3}, {width: 200}} {
		got := frame(overview{}, v)
		fits(t, got, v)
		for _, absent := range []string{"CLIENT", "ENVIRONMENT", "REFUSALS", "FAILED RULE"} {
			if strings.Contains(got, absent) {
				t.Errorf("%+v: an empty list %s is shown:\n%s", v, absent, got)
			}
		}
	}
}

func TestALowTerminalShowsFirstWhatIsInTrouble(t *testing.T) {
	got := frame(busy(t), view{width: 80, height: 24})
	for _, want := range []string{"DEGRADED", "redis", "region us/us-east-1", "over", "APP_orders", "over-quota", "dofzwez5ecdlmopev5qgflil5u", " of 7)"} {
		if !strings.Contains(got, want) {
			t.Errorf("it does not show %q:\n%s", want, got)
		}
	}
}

func TestNamesOfClientsNeverReachTheTerminalAsCommands(t *testing.T) {
	o := busy(t)
	for name, evil := range map[string]string{
		"escape": "a\x1b[2Jb", "csi of eight bits": "a\u009b2Jb", "line feed": "a\nb", "bell": "a\ab", "right to left": "a\u202eb", "no UTF-8": "a\xffb", "mark": "a\u0301b", "zero width": "a\u200bb",
	} {
		o.Traffic.Clients[0].Principal, o.Health.Summary, o.Version = evil, evil, evil
		v := view{width: 100, height: 40, source: "x"}
		got := frame(o, v)
		fits(t, got, v)
		if strings.Contains(got, evil) || !strings.Contains(got, "a?") {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// FuzzAFrameIsNeverMoreThanItsWindow tries any overview in any size of window.
func FuzzAFrameIsNeverMoreThanItsWindow(f *testing.F) {
	body, err := os.ReadFile("testdata/overview.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(body, "name", uint8(80), uint8(24), true)
	f.Add([]byte(`{}`), "\x1b[2J\u202e\n", uint8(0), uint8(1), true)
	f.Add([]byte(`{"traffic":{"clients":[{"principal":"日本語のとても長い名前","remaining":-9223372036854775808,"perSecond":1e308,"period":1e300}]}}`), "日本", uint8(7), uint8(0), false)
	f.Add([]byte(`{"time":"9999-12-31T00:00:00Z","traffic":{"lookups":{"window":1},"outcomes":[{"outcome":"hit","window":9223372036854775807},{"window":9223372036854775807}]}}`), "", uint8(255), uint8(3), false)
	f.Fuzz(func(t *testing.T, body []byte, name string, width, height uint8, color bool) {
		var o overview
		if json.Unmarshal(body, &o) != nil {
			return
		}
		for i := range o.Traffic.Clients {
			o.Traffic.Clients[i].Principal += name
		}
		for i := range o.Traffic.Refusals {
			o.Traffic.Refusals[i].Rule += name
		}
		o.Health.Summary += name
		v := view{width: int(width), height: int(height), color: color, source: name}
		fits(t, frame(o, v), v)
		v.lost = "lost " + name
		fits(t, frame(o, v), v)
	})
}

func TestNumbersAreShortAndReadable(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1234: "-1,234", -123: "-123", 12345678: "12.3M", 1 << 62: "4.61e+18", -1 << 63: "-9.22e+18", 999_999_999: "1G",
	} {
		if got := number(n); got != want {
			t.Errorf("number(%d) is %q, want %q", n, got, want)
		}
	}
	for f, want := range map[float64]string{0: "0.0", 0.04: "0.0", 99.94: "99.9", 99.96: "100", 1234.5: "1,235", 1e7: "10M", 1e300: "1.00e+300"} {
		if got := decimal(f); got != want {
			t.Errorf("decimal(%g) is %q, want %q", f, got, want)
		}
	}
	for f, want := range map[float64]string{1: "1s", 0.5: "0.5s", 60: "1m", 90: "90s", 3600: "60m"} {
		if got := seconds(f); got != want {
			t.Errorf("seconds(%g) is %q, want %q", f, got, want)
		}
	}
}
