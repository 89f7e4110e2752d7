package stats_test

import (
	"encoding/csv"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"osgate/objectstore"
	"osgate/record"
	"osgate/stats"
)

func TestUnitDistinguishesRequestsFromBilledUnits(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			c := stats.New(stats.Options{Store: kind.open(t)})
			keep(c, 2, with(get(noon), func(x *record.Exchange) { x.ResponseBytes, x.UpstreamBytes = 250_000, 350_000 }))
			keep(c, 5, with(get(noon), func(x *record.Exchange) { x.Hit, x.UpstreamAttempts, x.UpstreamStatus = true, 0, 0 }))
			keep(c, 1, with(get(noon), func(x *record.Exchange) { x.Store, x.RequestBytes, x.ResponseBytes = "written", 1_000_001, 2 }))
			flush(t, c)
			for query, want := range map[string]int{
				"": 8, "&unit=requests": 8, "&unit=billing": 6 + 5 + 11,
				"&source=upstream": 3, "&source=upstream&unit=requests": 3, "&source=upstream&unit=billing": 8 + 11,
			} {
				for _, path := range allPaths[:5] {
					if strings.HasSuffix(path, "s") { // the answer is a list of names
						continue
					}
					if got := total(t, c, base+path+day+query, noon); got != want {
						t.Errorf("%s %s: %d, want %d", path, query, got, want)
					}
				}
			}
			if got := answer(t, c, base+"org/environments"+day+"&unit=billing", noon); got != `["env"]` {
				t.Errorf("names of what is billed: %s", got)
			}
		})
	}
}

// TestNamesOfWhatWasCountedBeforeItWasBilled queries names by billed units. Counts of
// an older version have no billed units, and their stores are still listed.
func TestNamesOfWhatWasCountedBeforeItWasBilled(t *testing.T) {
	t.Parallel()
	s := stats.NewMemory(stats.MemoryOptions{})
	apply(t, s, batch("p", 1, entry(inStore("a"), noon, 1, 1)))
	c := stats.New(stats.Options{Store: s})
	if got := answer(t, c, base+allPaths[5]+day+"&unit=billing", noon); got != `["a"]` {
		t.Errorf("got %s", got)
	}
	if got := total(t, c, base+"org"+day+"&unit=billing", noon); got != 0 {
		t.Errorf("%d billed units, want 0", got)
	}
}

func said(t testing.TB, c *stats.Counter, target string) (body, mediaType string) {
	t.Helper()
	a, err := c.Answer(t.Context(), question(t, "us", target), noon)
	if err != nil {
		t.Fatalf("Answer(%s): %v", target, err)
	}
	return string(a.Body), a.Type
}

func TestFormatsSayTheSame(t *testing.T) {
	t.Parallel()
	c := memory(t)
	keep(c, 7, get(noon))
	c.Keep(with(get(noon.Add(time.Hour)), func(x *record.Exchange) { x.Store = `say "a, b"` }))
	flush(t, c)
	const hours = "?startDate=2024-08-15T12:00:00Z&endDate=2024-08-15T15:00:00Z&period=1hour"
	const csvType, jsonType = "text/csv; charset=utf-8; header=present", "application/json"
	for _, tt := range []struct{ target, body, mediaType string }{
		{"org" + hours + "&format=csv", "timeStamp,objectStoreRequestCount\r\n2024-08-15T12:00:00Z,7\r\n2024-08-15T13:00:00Z,1\r\n2024-08-15T14:00:00Z,0\r\n", csvType},
		{"org" + hours + "&format=json", answer(t, c, base+"org"+hours, noon), jsonType},
		{"org" + hours, answer(t, c, base+"org"+hours, noon), jsonType},
		{"org/environments" + hours + "&format=csv", "environment\r\nenv\r\n", csvType},
		{"org/environments" + hours, `["env"]`, jsonType},
		{"org/environments/env/regions" + hours + "&format=csv", "region\r\nus-east-1\r\n", csvType},
		{allPaths[5] + hours + "&format=csv", "store\r\n\"say \"\"a, b\"\"\"\r\nstore\r\n", csvType},
		{"org/environments/none/regions" + hours + "&format=csv", "region\r\n", csvType},
		{"org" + hours + "&format=csv&isMaster=true", "timeStamp,objectStoreRequestCount\r\n2024-08-15T12:00:00Z,7\r\n2024-08-15T13:00:00Z,1\r\n2024-08-15T14:00:00Z,0\r\n", csvType},
	} {
		body, mediaType := said(t, c, base+tt.target)
		if body != tt.body || mediaType != tt.mediaType {
			t.Errorf("%s: %s %q, want %s %q", tt.target, mediaType, body, tt.mediaType, tt.body)
		}
	}
}

// TestNoNameInATableIsAFormula compares each name that a spreadsheet would run as a
// formula with its form in a table.
func TestNoNameInATableIsAFormula(t *testing.T) {
	t.Parallel()
	c := memory(t)
	dangerous := []string{"=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", `=HYPERLINK("http://x","y")`}
	plain := []string{"a=1", "'=1", "store"}
	for _, name := range slices.Concat(dangerous, plain) {
		c.Keep(with(get(noon), func(x *record.Exchange) { x.Store = name }))
	}
	flush(t, c)
	body, _ := said(t, c, base+allPaths[5]+day+"&format=csv")
	rows, err := csv.NewReader(strings.NewReader(body)).ReadAll()
	if err != nil {
		t.Fatalf("%q: %v", body, err)
	}
	got := make(map[string]bool)
	for _, row := range rows {
		got[row[0]] = true
	}
	for _, name := range dangerous {
		if got[name] || !got["'"+strings.ReplaceAll(name, "\r", "")] { // a table has no lone carriage returns
			t.Errorf("%q is written as it is: %q", name, body)
		}
	}
	for _, name := range plain {
		if !got[name] {
			t.Errorf("%q is not written as it is: %q", name, body)
		}
	}
	if names, _ := said(t, c, base+allPaths[5]+day); !strings.Contains(names, `"=1+1"`) {
		t.Errorf("JSON changes names: %s", names)
	}
}

// FuzzTable checks that every name in a table is read back unchanged, except for the
// apostrophe.
func FuzzTable(f *testing.F) {
	f.Add("store")
	f.Add(`=a"b,c`)
	f.Add("\"")
	f.Fuzz(func(t *testing.T, name string) {
		// Names that no path can contain: see package objectstore.
		if _, err := objectstore.Parse("GET", base+"o/environments/e/stores/"+url.PathEscape(name), ""); err != nil || len(name) > 1024 {
			return
		}
		c := memory(t)
		c.Keep(with(get(noon), func(x *record.Exchange) { x.Store = name }))
		flush(t, c)
		body, _ := said(t, c, base+allPaths[5]+day+"&format=csv")
		rows, err := csv.NewReader(strings.NewReader(body)).ReadAll()
		if err != nil || len(rows) != 2 || strings.TrimPrefix(rows[1][0], "'") != strings.TrimPrefix(name, "'") {
			t.Errorf("%q is written as %q: %v", name, body, err)
		}
	})
}
