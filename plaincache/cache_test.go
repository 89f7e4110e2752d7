package plaincache_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"osgate/plaincache"
)

func newWeb(t testing.TB) *plaincache.Cache {
	t.Helper()
	w, err := plaincache.New(plaincache.Options{Bytes: 1 << 20, EntryBytes: 8 << 10})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func webAsk(header ...string) plaincache.Question {
	h := http.Header{}
	for i := 0; i < len(header); i += 2 {
		h.Add(header[i], header[i+1])
	}
	return plaincache.Question{Method: http.MethodGet, Host: "h", Target: "/a", Header: h}
}

// webFetch looks up q and, if no stored answer is served, gives upstream's answer to
// the Fetch. It returns Cache-Status.
func webFetch(ctx context.Context, w *plaincache.Cache, q plaincache.Question, header http.Header, body string) string {
	found := w.Look(ctx, q, time.Now())
	if found.Entry != nil || found.Fetch == nil {
		return found.Status.String()
	}
	outcome := found.Fetch.Response(ctx, http.StatusOK, header, int64(len(body)), found.Status)
	_, _ = found.Fetch.Write([]byte(body))
	found.Fetch.Close(true)
	return outcome.Status.String()
}

func TestWebEntryAgesAndIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWeb(t)
		webFetch(t.Context(), w, webAsk(), http.Header{"Cache-Control": {"max-age=60"}, "Age": {"10"}}, "v")
		pass(20 * time.Second)
		found := w.Look(t.Context(), webAsk(), time.Now())
		if got, want := found.Status.String(), "osgate; hit; ttl=30"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if got := found.Entry.Age(time.Now()); got != 30*time.Second {
			t.Errorf("the age is %v, want 30 s", got)
		}
		pass(2 * time.Hour)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		if err := w.Run(ctx); err != nil {
			t.Error(err)
		}
		if n := w.Stats().Entries; n != 0 {
			t.Errorf("%d entries are held that are of no use any more", n)
		}
	})
}

func TestWebAgeCountsTheTimeThatTheAnswerTook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWeb(t)
		found := w.Look(t.Context(), webAsk(), time.Now())
		pass(7 * time.Second)
		found.Fetch.Response(t.Context(), http.StatusOK, http.Header{"Cache-Control": {"max-age=60"}}, 0, found.Status)
		found.Fetch.Close(true)
		if got := w.Look(t.Context(), webAsk(), time.Now()).Entry.Age(time.Now()); got != 7*time.Second {
			t.Errorf("the age is %v, want 7 s", got)
		}
	})
}

func TestWebIsBoundedInVariantsAndBytes(t *testing.T) {
	w := newWeb(t)
	header := http.Header{"Cache-Control": {"max-age=60"}, "Vary": {"Foo"}}
	for i := range 200 {
		webFetch(t.Context(), w, webAsk("Foo", strings.Repeat("x", i)), header, strings.Repeat("v", 100))
	}
	if got := webFetch(t.Context(), w, webAsk("Foo", ""), header, "v"); !strings.Contains(got, "vary-miss") {
		t.Errorf("the oldest of 200 variants: %q", got)
	}
	if got := webFetch(t.Context(), w, webAsk("Foo", strings.Repeat("x", 199)), header, "v"); !strings.HasPrefix(got, "osgate; hit") {
		t.Errorf("the newest of 200 variants: %q", got)
	}
	if s := w.Stats(); s.Bytes > 64<<10 || s.Bytes < 32*100 {
		t.Errorf("%d bytes are held", s.Bytes)
	}
	if got := webFetch(t.Context(), w, webAsk("Foo", "large"), header, strings.Repeat("v", 9<<10)); !strings.HasSuffix(got, "detail=too-large") {
		t.Errorf("a body beyond EntryBytes: %q", got)
	}
}

func TestWebOlderFetchDoesNotReplaceAYoungerOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWeb(t)
		older := w.Look(t.Context(), webAsk(), time.Now())
		pass(time.Second)
		webFetch(t.Context(), w, webAsk(), http.Header{"Cache-Control": {"max-age=60"}}, "young")
		older.Fetch.Response(t.Context(), http.StatusOK, http.Header{"Cache-Control": {"max-age=60"}}, 3, older.Status)
		_, _ = older.Fetch.Write([]byte("old"))
		older.Fetch.Close(true)
		if got := string(w.Look(t.Context(), webAsk(), time.Now()).Entry.Body); got != "young" {
			t.Errorf("got %q", got)
		}
	})
}

func TestWebAsksOnceInTheBackground(t *testing.T) {
	w := newWeb(t)
	stale := http.Header{"Cache-Control": {"max-age=1, stale-while-revalidate=60"}, "Age": {"5"}}
	webFetch(t.Context(), w, webAsk(), stale, "v")
	first := w.Look(t.Context(), webAsk(), time.Now())
	second := w.Look(t.Context(), webAsk(), time.Now())
	if first.Entry == nil || first.Fetch == nil || second.Entry == nil || second.Fetch != nil {
		t.Errorf("got %+v and %+v, want one refresh and two entries", first, second)
	}
	first.Fetch.Close(false)
	if third := w.Look(t.Context(), webAsk(), time.Now()); third.Fetch == nil {
		t.Error("no request is sent after a refresh that failed")
	}
}

func TestWebContentOfAGetGoesPastTheCache(t *testing.T) {
	w := newWeb(t)
	q := webAsk()
	q.HasBody = true
	header := http.Header{"Cache-Control": {"max-age=60"}}
	if got, want := webFetch(t.Context(), w, q, header, "v"), "osgate; fwd=bypass; detail=content"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := webFetch(t.Context(), w, webAsk(), header, "v"), "osgate; fwd=uri-miss; stored"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// RFC 9111 section 4.4: a successful unsafe request invalidates its target and the
// addresses on the same host that its answer names.
func TestWebForgetsWhatAnUnsafeRequestChanged(t *testing.T) {
	for _, tt := range []struct {
		name, method  string
		status        int
		header        http.Header
		target, other bool // whether these are still served
	}{
		{"success", http.MethodPost, 200, nil, false, true},
		{"an unknown method", "CHANGE", 204, nil, false, true},
		{"a redirection", http.MethodPut, 399, nil, false, true},
		{"a refusal", http.MethodPost, 400, nil, true, true},
		{"an interim answer", http.MethodPost, 199, nil, true, true},
		{"a safe method", http.MethodOptions, 200, nil, true, true},
		{"Location", http.MethodPost, 201, http.Header{"Location": {"/b"}}, false, false},
		{"Content-Location", http.MethodPost, 200, http.Header{"Content-Location": {"http://H/b"}}, false, false},
		{"on another host", http.MethodPost, 201, http.Header{"Location": {"http://other/b"}}, false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWeb(t)
			other := webAsk()
			other.Target = "/b"
			for _, q := range []plaincache.Question{webAsk(), other} {
				webFetch(t.Context(), w, q, http.Header{"Cache-Control": {"max-age=60"}}, "v")
			}
			unsafe := webAsk()
			unsafe.Method = tt.method
			found := w.Look(t.Context(), unsafe, time.Now())
			found.Fetch.Response(t.Context(), tt.status, tt.header, 0, found.Status)
			found.Fetch.Close(true)
			target := w.Look(t.Context(), webAsk(), time.Now()).Entry != nil
			beside := w.Look(t.Context(), other, time.Now()).Entry != nil
			if target != tt.target || beside != tt.other {
				t.Errorf("the target is served: %t, the other: %t; want %t, %t", target, beside, tt.target, tt.other)
			}
		})
	}
}

func TestWebVariantsOfBeforeAChangeTakeNoRoom(t *testing.T) {
	header := http.Header{"Cache-Control": {"max-age=60"}, "Vary": {"Foo"}}
	w, alone := newWeb(t), newWeb(t)
	webFetch(t.Context(), w, webAsk("Foo", "before"), header, strings.Repeat("v", 5000))
	change := webAsk()
	change.Method = http.MethodPost
	found := w.Look(t.Context(), change, time.Now())
	found.Fetch.Response(t.Context(), http.StatusOK, nil, 0, found.Status)
	found.Fetch.Close(true)
	for _, web := range []*plaincache.Cache{w, alone} {
		webFetch(t.Context(), web, webAsk("Foo", "after"), header, "v")
	}
	if got, want := w.Stats().Bytes, alone.Stats().Bytes; got != want {
		t.Errorf("%d bytes are held, want %d, those of the variant of after the change", got, want)
	}
}

func TestWeb304DoesNotDescribeAnotherContent(t *testing.T) {
	w := newWeb(t)
	webFetch(t.Context(), w, webAsk(), http.Header{"Cache-Control": {"no-cache"}, "Etag": {`"a"`}, "Content-Type": {"text/html"}, "Foo": {"old"}}, "v")
	found := w.Look(t.Context(), webAsk(), time.Now())
	found.Fetch.Header(http.Header{})
	later := http.Header{"Content-Type": {"image/png"}, "Content-Length": {"9"}, "Foo": {"new"}}
	h := found.Fetch.Response(t.Context(), http.StatusNotModified, later, 0, found.Status).Entry.Header
	if h.Get("Content-Type") != "text/html" || h.Get("Content-Length") != "" || h.Get("Foo") != "new" {
		t.Errorf("got %v", h)
	}
}

// FuzzNoStoreIsNeverStored writes no-store in all forms, among any other directives.
func FuzzNoStoreIsNeverStored(f *testing.F) {
	f.Add("max-age=60", "public", uint8(0), false)
	f.Add(`a="b`, "", uint8(0xff), true)
	f.Add(`no-cache="x", s-maxage=60`, "stale-if-error=9", uint8(0x55), true)
	f.Fuzz(func(t *testing.T, before, after string, capitals uint8, lines bool) {
		word := []byte("no-store")
		for i, c := range word {
			if capitals>>i&1 == 1 && c != '-' {
				word[i] = c - 'a' + 'A'
			}
		}
		all := before + after
		if strings.Contains(strings.ToLower(all), "must-understand") || strings.Contains(all, `"`) && strings.Contains(after, `"`) {
			t.Skip() // then it belongs to another directive, or to a quoted string
		}
		header := http.Header{"Cache-Control": {before + "," + string(word) + " ," + after}, "Etag": {`"a"`}}
		if lines {
			header["Cache-Control"] = []string{before, "\t" + string(word), after}
		}
		if strings.Contains(before, `"`) && !lines && strings.Count(before, `"`)%2 == 0 {
			t.Skip() // a backslash may hide the end
		}
		w := newWeb(t)
		if got := webFetch(t.Context(), w, webAsk(), header, "v"); strings.Contains(got, "stored") {
			t.Errorf("%q is stored: %s", header["Cache-Control"], got)
		}
		if w.Look(t.Context(), webAsk(), time.Now()).Entry != nil {
			t.Errorf("%q is served", header["Cache-Control"])
		}
	})
}

// FuzzWebHeadersNeverPanicAndNeverServeWhatIsNotFresh uses arbitrary headers of
// upstream and client.
func FuzzWebHeadersNeverPanicAndNeverServeWhatIsNotFresh(f *testing.F) {
	f.Add("max-age=60", "max-stale", "1", "", "Foo", "bytes=0-1")
	f.Add(`private="a, b", max-age="1`, "min-fresh=x", "1, 2", "Thu, 18 Aug 2050 02:01:18 GMT", "*", "bytes=-")
	f.Add("stale-while-revalidate=1", "only-if-cached", "-1", "0", ",", "bytes=9-1")
	f.Fuzz(func(t *testing.T, control, demand, age, expires, vary, part string) {
		w := newWeb(t)
		header := http.Header{"Cache-Control": {control}, "Cdn-Cache-Control": {control}, "Age": {age}, "Expires": {expires}, "Vary": {vary}}
		webFetch(t.Context(), w, webAsk(), header, "value")
		q := webAsk("Cache-Control", demand, "Range", part, "If-Range", part, "If-None-Match", part)
		found := w.Look(t.Context(), q, time.Now())
		if found.Entry == nil {
			return
		}
		if left := found.Entry.Left(time.Now()); left <= 0 && !strings.Contains(demand, "max-stale") && !strings.Contains(control, "stale-while-revalidate") &&
			!strings.Contains(strings.ToLower(demand+control), "stale") {
			t.Errorf("an answer is served that has been stale for %v", -left)
		}
		sink := &countingWriter{header: http.Header{}}
		if status, err := found.Entry.ServeRange(sink, q.Method, q.Header, time.Now()); err != nil || status < 200 || sink.n > len("value") {
			t.Errorf("served %d bytes with %d, %v", sink.n, status, err)
		}
	})
}

type countingWriter struct {
	header http.Header
	n      int
}

func (w *countingWriter) Header() http.Header         { return w.header }
func (w *countingWriter) Write(b []byte) (int, error) { w.n += len(b); return len(b), nil }
func (w *countingWriter) WriteHeader(int)             {}

// pass lets time pass in a bubble of synctest.
func pass(d time.Duration) { <-time.After(d) }
