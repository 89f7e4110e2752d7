package auth

import (
	"net/http"
	"testing"
	"time"
)

// TestAPlanesRetryAfterIsKept in both forms. Without it the reset of the allowance
// counts, but only of a 429.
func TestAPlanesRetryAfterIsKept(t *testing.T) {
	const date, later = "Mon, 30 Nov 2026 12:00:00 GMT", "Mon, 30 Nov 2026 12:00:09 GMT"
	for name, tt := range map[string]struct {
		status int
		header http.Header
		want   time.Duration
	}{
		"seconds":    {429, http.Header{"Retry-After": {"7"}}, 7 * time.Second},
		"a date":     {503, http.Header{"Retry-After": {later}, "Date": {date}}, 9 * time.Second},
		"reset past": {429, http.Header{"X-Ratelimit-Reset": {"1"}}, 0},
		"no 429":     {200, http.Header{"X-Ratelimit-Reset": {"99999999999"}}, 0},
		"far reset":  {429, http.Header{"X-Ratelimit-Reset": {"99999999999"}}, time.Hour},
	} {
		if got := retryAfter(&http.Response{StatusCode: tt.status, Header: tt.header}); got != tt.want {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}
