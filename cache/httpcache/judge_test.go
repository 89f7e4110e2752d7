package httpcache

import (
	"net/http"
	"testing"
	"time"
)

// answerHeader returns a header of pairs of name and value.
func answerHeader(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Add(pairs[i], pairs[i+1])
	}
	return h
}

// RFC 9111 section 3 lists what a shared cache may store, section 4.2.1 how long it
// is fresh. A row is one answer to a GET.
func TestWebStoresWhatASharedCacheMayStoreForAsLongAsItIsFresh(t *testing.T) {
	asked := time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)
	at := func(d time.Duration) string { return asked.Add(d).Format(http.TimeFormat) }
	minute := func(pairs ...string) http.Header {
		return answerHeader(append(pairs, "Cache-Control", "max-age=60")...)
	}
	for _, tt := range []struct {
		name       string
		status     int
		header     http.Header
		authorized bool
		refused    string
		lifetime   time.Duration
	}{
		{"max-age", 200, minute(), false, "", time.Minute},
		{"an unknown status with a lifetime", 299, minute(), false, "", time.Minute},
		{"an unknown status that is public", 299, answerHeader("Cache-Control", "public", "Etag", "1"), false, "", 0},
		{"an unknown status without either", 299, answerHeader("Etag", "1"), false, "status", 0},
		{"a known status without either", 410, answerHeader("Etag", "1"), false, "", 0},
		{"informational", 199, minute(), false, "status", 0},
		{"a part", 206, minute(), false, "status", 0},
		{"not modified", 304, minute(), false, "status", 0},
		{"no-store", 200, answerHeader("Cache-Control", "no-store, max-age=60"), false, "no-store", 0},
		{"no-store beside an understood status", 200, answerHeader("Cache-Control", "no-store, must-understand, max-age=60"), false, "", time.Minute},
		{"must-understand of an unknown status", 299, answerHeader("Cache-Control", "must-understand, max-age=60"), false, "must-understand", 0},
		{"private", 200, answerHeader("Cache-Control", "private, max-age=60"), false, "private", 0},
		{"private fields", 200, answerHeader("Cache-Control", `private="foo", max-age=60`), false, "", time.Minute},
		{"no-cache", 200, answerHeader("Cache-Control", "no-cache, max-age=60", "Etag", "1"), false, "", 0},
		{"authorized", 200, minute(), true, "authorization", 0},
		{"authorized and public", 200, answerHeader("Cache-Control", "public, max-age=60"), true, "", time.Minute},
		{"authorized and must-revalidate", 200, answerHeader("Cache-Control", "must-revalidate, max-age=60"), true, "", time.Minute},
		{"authorized and s-maxage", 200, answerHeader("Cache-Control", "s-maxage=60"), true, "", time.Minute},
		{"s-maxage before max-age", 200, answerHeader("Cache-Control", "max-age=5, s-maxage=60"), false, "", time.Minute},
		{"the shorter of two", 200, answerHeader("Cache-Control", "max-age=90", "Cache-Control", "max-age=60"), false, "", time.Minute},
		{"Expires", 200, answerHeader("Expires", at(time.Minute), "Date", at(0)), false, "", time.Minute},
		{"max-age before Expires", 200, answerHeader("Cache-Control", "max-age=60", "Expires", at(time.Hour), "Date", at(0)), false, "", time.Minute},
		{"a tenth of the time since the last change", 200, answerHeader("Last-Modified", at(-10*time.Minute)), false, "", time.Minute},
		{"counted from Date", 200, answerHeader("Last-Modified", at(-20*time.Minute), "Date", at(-10*time.Minute)), false, "", time.Minute},
		{"at most a day", 200, answerHeader("Last-Modified", at(-1000*time.Hour)), false, "", 24 * time.Hour},
		{"not before now", 200, answerHeader("Last-Modified", at(time.Hour)), false, "", 0},
		{"Vary on a field", 200, minute("Vary", "foo, , Bar"), false, "", time.Minute},
		{"Vary on everything", 200, minute("Vary", "Foo, *"), false, "vary", 0},
		{"Vary on no field name", 200, minute("Vary", "a b"), false, "vary", 0},
		{"of no use", 200, answerHeader("Cache-Control", "max-age=0"), false, "expired", 0},
		{"older than its lifetime", 200, minute("Age", "60"), false, "expired", time.Minute},
		{"nearly as old", 200, minute("Age", "59"), false, "", time.Minute},
		{"old by its Date", 200, minute("Date", at(-time.Minute)), false, "expired", time.Minute},
		{"stale, but it can be asked about", 200, answerHeader("Cache-Control", "max-age=0", "Etag", "1"), false, "", 0},
		{"stale, but it may be served", 200, answerHeader("Cache-Control", "max-age=0, stale-if-error=9"), false, "", 0},
		{"for CDNs", 200, answerHeader("Cache-Control", "no-store", "Cdn-Cache-Control", "max-age=60"), false, "", time.Minute},
		{"for CDNs, not to be read", 200, answerHeader("Cache-Control", "no-store", "Cdn-Cache-Control", "max-age=60,"), false, "no-store", 0},
	} {
		if got := JudgeResource(tt.status, tt.header, tt.authorized, asked); got.Refused != tt.refused || got.Lifetime != tt.lifetime {
			t.Errorf("%s: refused %q, fresh for %v; want %q, %v", tt.name, got.Refused, got.Lifetime, tt.refused, tt.lifetime)
		}
	}
}
