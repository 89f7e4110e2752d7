package stats_test

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"osgate/objectstore"
)

func TestLimitsTable(t *testing.T) {
	t.Parallel()
	// "Usage Metrics Limits": the longest time frame is 1 day, 1 month, 2 months; a
	// month is a calendar month.
	tests := []struct {
		name               string
		period, start, end string
		allowed            bool
	}{
		{"hours of a day", "1hour", "2024-08-11T17:51:54.000Z", "2024-08-12T17:51:54.000Z", true},
		{"hours of more than a day", "1hour", "2024-08-11T17:51:54.000Z", "2024-08-12T17:51:54.001Z", false},
		{"days of August to September", "1day", "2024-08-11T17:51:54.000Z", "2024-09-11T17:51:54.000Z", true},
		{"days of more than a month", "1day", "2024-08-11T17:51:54.000Z", "2024-09-11T17:51:54.001Z", false},
		{"days of a leap February", "1day", "2024-02-01T00:00:00Z", "2024-03-01T00:00:00Z", true},
		{"30 days from 1 February", "1day", "2024-02-01T00:00:00Z", "2024-03-02T00:00:00Z", false},
		{"31 January and a month, leap year", "1day", "2024-01-31T00:00:00Z", "2024-02-29T00:00:00Z", true},
		{"31 January and a month and a day, leap year", "1day", "2024-01-31T00:00:00Z", "2024-03-01T00:00:00Z", false},
		{"31 January and a month", "1day", "2023-01-31T00:00:00Z", "2023-02-28T00:00:00Z", true},
		{"31 January and a month and a second", "1day", "2023-01-31T00:00:00Z", "2023-02-28T00:00:01Z", false},
		{"30 January and a month", "1day", "2023-01-30T00:00:00Z", "2023-02-28T00:00:00Z", true},
		{"over New Year", "1day", "2023-12-31T12:00:00Z", "2024-01-31T12:00:00Z", true},
		{"two months", "1month", "2024-08-15T00:00:00Z", "2024-10-15T00:00:00Z", true},
		{"two months and a second", "1month", "2024-08-15T00:00:00Z", "2024-10-15T00:00:01Z", false},
		{"two months from 31 December", "1month", "2023-12-31T00:00:00Z", "2024-02-29T00:00:00Z", true},
		{"a caller's own March", "1day", "2024-03-01T00:00:00%2B02:00", "2024-04-01T00:00:00%2B02:00", true},
		{"a caller's own March and a second", "1day", "2024-03-01T00:00:00%2B02:00", "2024-04-01T00:00:01%2B02:00", false},
		{"a moment", "1hour", "2024-08-11T17:51:54Z", "2024-08-11T17:51:54Z", true},
		{"backward", "1hour", "2024-08-11T17:51:54Z", "2024-08-11T17:51:53.999Z", false},
	}
	c := memory(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			q := question(t, "us", base+"org?startDate="+tt.start+"&endDate="+tt.end+"&period="+tt.period)
			_, err := c.Answer(t.Context(), q, noon)
			if (err == nil) != tt.allowed {
				t.Fatalf("Answer(%s, %s to %s): %v, want allowed %v", tt.period, tt.start, tt.end, err, tt.allowed)
			}
			if refused, ok := errors.AsType[*objectstore.QueryError](err); err != nil && (!ok || refused.Parameter != "endDate") {
				t.Errorf("error = %v, want a QueryError of endDate", err)
			}
		})
	}
}

func TestRefusedWindowNamesAllowedAndRequested(t *testing.T) {
	t.Parallel()
	q := question(t, "us", base+"org?startDate=2024-08-11T17:51:54Z&endDate=2024-09-12T00:00:00Z&period=1day")
	_, err := memory(t).Answer(t.Context(), q, noon)
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"endDate", "period=1day", "1 month", "2024-09-11T17:51:54Z", "31 days and 6h8m6s", "2024-09-12T00:00:00Z"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not contain %q", err, want)
		}
	}
}

func TestDurationsAreWrittenInWords(t *testing.T) {
	t.Parallel()
	for asked, want := range map[string]string{
		"startDate=2024-08-11T00:00:00Z&endDate=2024-08-12T00:00:00.001Z&period=1hour": "requested was 1 day and 1ms,",
		"startDate=2024-08-11T00:00:00Z&endDate=2024-08-13T00:00:00Z&period=1hour":     "requested was 2 days,",
	} {
		_, err := memory(t).Answer(t.Context(), question(t, "us", base+"org?"+asked), noon)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", asked, err, want)
		}
	}
}

func TestMissingOrMalformedParameterIsNamed(t *testing.T) {
	t.Parallel()
	const start, end, period = "startDate=2024-08-15T00:00:00Z", "endDate=2024-08-15T01:00:00Z", "period=1hour"
	tests := []struct {
		name, query, parameter string
	}{
		{"nothing", "", "startDate"},
		{"no start", end + "&" + period, "startDate"},
		{"empty start", "startDate=&" + end + "&" + period, "startDate"},
		{"no end", start + "&" + period, "endDate"},
		{"no period", start + "&" + end, "period"},
		{"unknown period", start + "&" + end + "&period=1week", "period"},
		{"a page's typo", "startDate=2024-11-11T17%3A51%3A54.000Z&endDate=2024-11-131T17%3A51%3A54.000Z&period=1day", "endDate"},
		{"no offset", "startDate=2024-08-15T00:00:00&" + end + "&" + period, "startDate"},
		{"a date only", "startDate=2024-08-15&" + end + "&" + period, "startDate"},
		{"no such day", "startDate=2023-02-29T00:00:00Z&" + end + "&" + period, "startDate"},
		{"seconds since 1970", "startDate=1723680000&" + end + "&" + period, "startDate"},
		{"start twice", start + "&" + start + "&" + end + "&" + period, "startDate"},
		{"isMaster", start + "&" + end + "&" + period + "&isMaster=yes", "isMaster"},
		{"source", start + "&" + end + "&" + period + "&source=cache", "source"},
		{"unit", start + "&" + end + "&" + period + "&unit=kilobytes", "unit"},
		{"format", start + "&" + end + "&" + period + "&format=xml", "format"},
		{"format twice", start + "&" + end + "&" + period + "&format=csv&format=csv", "format"},
		{"semicolons", start + ";" + end + ";" + period, ""},
	}
	c := memory(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := c.Answer(t.Context(), question(t, "us", base+"org?"+tt.query), noon)
			refused, ok := errors.AsType[*objectstore.QueryError](err)
			if !ok || refused.Parameter != tt.parameter {
				t.Errorf("Answer(%s): %v, want a QueryError of parameter %q", tt.query, err, tt.parameter)
			}
		})
	}
}

func TestDatesInEveryISOForm(t *testing.T) {
	t.Parallel()
	c := memory(t)
	c.Keep(get(noon))
	flush(t, c)
	for _, start := range []string{
		"2024-08-15T12:00:00Z",
		"2024-08-15T12%3A00%3A00.000Z",
		"2024-08-15T12:00:00.123456789Z",
		"2024-08-15T12:00Z",
		"2024-08-15t12:00:00z",
		"2024-08-15T14:00:00%2B02:00",
		"2024-08-15T14:00:00+02:00", // the plus was not encoded, so it is a space
		"2024-08-15T14:00+02:00",
		"2024-08-15T07:00:00.000-05:00",
	} {
		got := answer(t, c, base+"org?startDate="+start+"&endDate="+start+"&period=1hour", noon)
		if want := `[{"timeStamp":"2024-08-15T12:00:00Z","objectStoreRequestCount":1}]`; got != want {
			t.Errorf("startDate=%s: got %s, want %s", start, got, want)
		}
	}
}

func TestEveryBucketIsAnswered(t *testing.T) {
	t.Parallel()
	c := memory(t)
	c.Keep(get(noon))
	flush(t, c)
	tests := []struct {
		name, query, first, last string
		buckets                  int
	}{
		{"a day of hours touches 25", "startDate=2024-08-15T11:59:59Z&endDate=2024-08-16T11:59:59Z&period=1hour", "2024-08-15T11:00:00Z", "2024-08-16T11:00:00Z", 25},
		{"a whole day of hours", "startDate=2024-08-15T00:00:00Z&endDate=2024-08-15T23:59:59.999Z&period=1hour", "2024-08-15T00:00:00Z", "2024-08-15T23:00:00Z", 24},
		{"an end on the boundary adds no bucket", "startDate=2024-08-15T00:00:00Z&endDate=2024-08-16T00:00:00.000Z&period=1day", "2024-08-15T00:00:00Z", "2024-08-15T00:00:00Z", 1},
		{"an end behind the boundary does", "startDate=2024-08-15T00:00:00Z&endDate=2024-08-16T00:00:00.001Z&period=1day", "2024-08-15T00:00:00Z", "2024-08-16T00:00:00Z", 2},
		{"an instant on the boundary is in its bucket", "startDate=2024-08-15T00:00:00Z&endDate=2024-08-15T00:00:00Z&period=1day", "2024-08-15T00:00:00Z", "2024-08-15T00:00:00Z", 1},
		{"a month up to the next", "startDate=2024-08-01T00:00:00Z&endDate=2024-09-01T00:00:00Z&period=1month", "2024-08-01T00:00:00Z", "2024-08-01T00:00:00Z", 1},
		{"a month of days touches 32", "startDate=2024-08-11T17:51:54Z&endDate=2024-09-11T17:51:54Z&period=1day", "2024-08-11T00:00:00Z", "2024-09-11T00:00:00Z", 32},
		{"two months touch three", "startDate=2024-07-15T00:00:00Z&endDate=2024-09-15T00:00:00Z&period=1month", "2024-07-01T00:00:00Z", "2024-09-01T00:00:00Z", 3},
		{"buckets are UTC whatever the offset", "startDate=2024-08-15T01:00:00%2B02:00&endDate=2024-08-15T12:00:00%2B02:00&period=1day", "2024-08-14T00:00:00Z", "2024-08-15T00:00:00Z", 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var points []struct {
				Time  string `json:"timeStamp"`
				Count int    `json:"objectStoreRequestCount"`
			}
			if err := json.Unmarshal([]byte(answer(t, c, base+"org?"+tt.query, noon)), &points); err != nil {
				t.Fatal(err)
			}
			if len(points) != tt.buckets || points[0].Time != tt.first || points[len(points)-1].Time != tt.last {
				t.Fatalf("got %d buckets, %v; want %d from %s to %s", len(points), points, tt.buckets, tt.first, tt.last)
			}
			sum := 0
			for _, p := range points {
				sum += p.Count
			}
			if sum != 1 {
				t.Errorf("counts sum to %d, want 1", sum)
			}
		})
	}
}

// zoned is an environment variable that marks the child process of
// TestTheProcessesTimeZoneHasNoEffect.
const zoned = "STATS_TEST_ZONED"

// TestTheProcessesTimeZoneHasNoEffect sends a query from a process with a time
// zone of its own. The query is for a calendar month, with the offset that the time
// zone has at that time of the year; in the time zone itself this month is an hour
// shorter.
func TestTheProcessesTimeZoneHasNoEffect(t *testing.T) {
	t.Parallel()
	if os.Getenv(zoned) == "" {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$")
		cmd.Env = append(os.Environ(), "TZ=Europe/Berlin", zoned+"=yes")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
		return
	}
	if _, offset := noon.In(time.Local).Zone(); offset != 2*3600 { //nolint:gosmopolitan // the local zone is under test
		t.Fatalf("the child is %d seconds east of UTC", offset)
	}
	got := answer(t, memory(t), base+"org?startDate=2024-03-01T00:00:00%2B01:00&endDate=2024-04-01T00:00:00%2B01:00&period=1day", noon)
	if n := strings.Count(got, "timeStamp"); n != 32 {
		t.Errorf("%d buckets, want 32: %s", n, got)
	}
}
