package retryafter_test

import (
	"net/http"
	"testing"
	"time"

	"osgate/internal/retryafter"
)

// TestBothFormsAreRead and all other values are refused.
func TestBothFormsAreRead(t *testing.T) {
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	const date, later = "Mon, 30 Nov 2026 11:00:00 GMT", "Mon, 30 Nov 2026 11:00:07 GMT"
	for name, tt := range map[string]struct {
		value, date string
		wait        time.Duration
		ok          bool
	}{
		"none":                       {},
		"seconds":                    {"7", "", 7 * time.Second, true},
		"no seconds":                 {"0", "", 0, true},
		"more than an hour":          {"3601", "", time.Hour, true},
		"more than a number holds":   {"99999999999999999999", "", time.Hour, true},
		"negative":                   {"-7", "", 0, false},
		"a fraction":                 {"1.5", "", 0, false},
		"a date":                     {"Mon, 30 Nov 2026 12:00:07 GMT", "", 7 * time.Second, true},
		"by the server's own clock":  {later, date, 7 * time.Second, true},
		"a Date that is none":        {"Mon, 30 Nov 2026 12:00:07 GMT", "yesterday", 7 * time.Second, true},
		"a date that is past":        {date, "", 0, true},
		"a date far ahead":           {"Mon, 30 Nov 2099 12:00:07 GMT", "", time.Hour, true},
		"RFC 850":                    {"Monday, 30-Nov-26 12:00:07 GMT", "", 7 * time.Second, true},
		"asctime":                    {"Mon Nov 30 12:00:07 2026", "", 7 * time.Second, true},
		"neither seconds nor a date": {"soon", "", 0, false},
	} {
		h := http.Header{}
		if tt.value != "" {
			h.Set("Retry-After", tt.value)
		}
		if tt.date != "" {
			h.Set("Date", tt.date)
		}
		if wait, ok := retryafter.Of(h, now); wait != tt.wait || ok != tt.ok {
			t.Errorf("%s: %v, %v, want %v, %v", name, wait, ok, tt.wait, tt.ok)
		}
	}
}
