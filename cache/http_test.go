package cache_test

import (
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"osgate/cache"
	"osgate/cache/httpcache"
)

func TestClientDirectives(t *testing.T) {
	const hit, miss, noCache, noStore, maxAge = "osgate; hit; ttl=7", "osgate; fwd=miss", "osgate; fwd=request; detail=no-cache",
		"osgate; fwd=request; detail=no-store", "osgate; fwd=request; detail=max-age"
	for name, tt := range map[string]struct {
		header []string // for an entry that is 3 s old and fresh for 7 s more
		want   string
	}{
		"none":                         {nil, hit},
		"unknown":                      {[]string{"Cache-Control", "foo, bar=1"}, hit},
		"no-cache":                     {[]string{"Cache-Control", "no-cache"}, noCache},
		"case and space":               {[]string{"Cache-Control", " foo ,	No-Cache "}, noCache},
		"second line":                  {[]string{"Cache-Control", "foo", "Cache-Control", "no-cache"}, noCache},
		"quoted commas":                {[]string{"Cache-Control", `a="no-cache, no-store\", ", b`}, hit},
		"no-store":                     {[]string{"Cache-Control", "no-store, no-cache"}, noStore},
		"pragma":                       {[]string{"Pragma", "no-cache"}, noCache},
		"pragma beside cache-control":  {[]string{"Pragma", "no-cache", "Cache-Control", "max-age=9"}, hit},
		"max-age above the age":        {[]string{"Cache-Control", "max-age=3"}, hit},
		"max-age below the age":        {[]string{"Cache-Control", "max-age=2"}, maxAge},
		"max-age=0":                    {[]string{"Cache-Control", "max-age=0"}, maxAge},
		"the least max-age":            {[]string{"Cache-Control", "max-age=9, max-age=1"}, maxAge},
		"unreadable max-age":           {[]string{"Cache-Control", "max-age=x"}, maxAge},
		"quoted max-age":               {[]string{"Cache-Control", `max-age="5"`}, hit},
		"huge max-age":                 {[]string{"Cache-Control", "max-age=99999999999999999999"}, hit},
		"min-fresh within":             {[]string{"Cache-Control", "min-fresh=7"}, hit},
		"min-fresh beyond":             {[]string{"Cache-Control", "min-fresh=8"}, maxAge},
		"unreadable min-fresh":         {[]string{"Cache-Control", "min-fresh"}, maxAge},
		"only-if-cached":               {[]string{"Cache-Control", "only-if-cached"}, hit},
		"only-if-cached, not usable":   {[]string{"Cache-Control", "only-if-cached, max-age=1"}, "504"},
		"only-if-cached with no-store": {[]string{"Cache-Control", "only-if-cached, no-store"}, "504"},
		"if-match":                     {[]string{"If-Match", `"x"`}, "osgate; fwd=request; detail=if-match"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCache(t)
				fetch(t, c, ask(t, "GET", keyPath), 200, nil, "v")
				pass(3 * time.Second)
				r := c.Look(t.Context(), ask(t, "GET", keyPath, tt.header...), time.Now())
				got := r.Status.String()
				if r.OnlyIfCached {
					got += "504"
				}
				if got != tt.want || (r.Entry != nil) != (tt.want == hit) {
					t.Errorf("got %q with entry %v, want %q", got, r.Entry, tt.want)
				}
				if mayStore := tt.want == noCache || tt.want == maxAge || tt.want == miss; (r.Fill != nil) != mayStore {
					t.Errorf("may be stored is %t, want %t", r.Fill != nil, mayStore)
				}
			})
		})
	}
}

func TestMaxAgeZeroAsksEvenForWhatHasJustBeenStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t)
		fetch(t, c, ask(t, "GET", keyPath), 200, nil, "v")
		wantLook(t, c, ask(t, "GET", keyPath, "Cache-Control", "max-age=0"), "osgate; fwd=request; detail=max-age", "")
	})
}

func TestNoCacheFetchesAndStores(t *testing.T) {
	c := newCache(t)
	q := ask(t, "GET", keyPath)
	fetch(t, c, q, 200, nil, "v1")
	if got, want := fetch(t, c, ask(t, "GET", keyPath, "Cache-Control", "no-cache"), 200, nil, "v2"), "osgate; fwd=request; stored; detail=no-cache"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if _, body := look(t, c, q); body != "v2" {
		t.Errorf("got %q after no-cache, want the fetched body", body)
	}
}

func TestUpstreamHeaderDecidesWhatIsStored(t *testing.T) {
	const date = "Sat, 21 Nov 2026 10:00:00 GMT"
	type h = http.Header
	for name, tt := range map[string]struct {
		status int
		header http.Header
		want   string // the reason, or the seconds of freshness under a lifetime of 10 s
	}{
		"plain":                      {200, nil, "10"},
		"private":                    {200, h{"Cache-Control": {"private"}}, "10"},
		"public":                     {200, h{"Cache-Control": {"public, must-revalidate"}}, "10"},
		"no-store":                   {200, h{"Cache-Control": {"max-age=5, No-Store"}}, "no-store"},
		"no-cache":                   {200, h{"Cache-Control": {"no-cache"}}, "no-cache"},
		"qualified no-cache":         {200, h{"Cache-Control": {`no-cache="Set-Cookie"`}}, "no-cache"},
		"max-age":                    {200, h{"Cache-Control": {"max-age=5"}}, "5"},
		"max-age longer than ours":   {200, h{"Cache-Control": {"max-age=500"}}, "10"},
		"max-age=0":                  {200, h{"Cache-Control": {"max-age=0"}}, "expired"},
		"unreadable max-age":         {200, h{"Cache-Control": {"max-age=abc"}}, "expired"},
		"negative max-age":           {200, h{"Cache-Control": {"max-age=-5"}}, "expired"},
		"two of max-age":             {200, h{"Cache-Control": {"max-age=7", "max-age=3"}}, "3"},
		"s-maxage first":             {200, h{"Cache-Control": {"max-age=1, s-maxage=6"}}, "6"},
		"s-maxage=0":                 {200, h{"Cache-Control": {"max-age=9, s-maxage=0"}}, "expired"},
		"Age counts":                 {200, h{"Age": {"4"}}, "6"},
		"Age beyond":                 {200, h{"Age": {"10"}}, "expired"},
		"Age against max-age":        {200, h{"Cache-Control": {"max-age=5"}, "Age": {"2"}}, "3"},
		"Expires":                    {200, h{"Date": {date}, "Expires": {"Sat, 21 Nov 2026 10:00:08 GMT"}}, "8"},
		"Expires in the past":        {200, h{"Date": {date}, "Expires": {"Sat, 21 Nov 2026 09:00:00 GMT"}}, "expired"},
		"Expires: 0":                 {200, h{"Date": {date}, "Expires": {"0"}}, "expired"},
		"Expires without Date":       {200, h{"Expires": {"Sat, 21 Nov 2026 10:00:08 GMT"}}, "expired"},
		"max-age before Expires":     {200, h{"Cache-Control": {"max-age=5"}, "Expires": {"0"}}, "5"},
		"Vary on what the key has":   {200, h{"Vary": {"Accept, accept-encoding, User-Agent, x-anypnt-org-id"}}, "10"},
		"Vary on more":               {200, h{"Vary": {"Accept", "Authorization"}}, "vary"},
		"Vary on everything":         {200, h{"Vary": {"*"}}, "vary"},
		"content coding":             {200, h{"Content-Encoding": {"gzip"}}, "content-encoding"},
		"identity":                   {200, h{"Content-Encoding": {"identity"}}, "10"},
		"a part":                     {200, h{"Content-Range": {"bytes 0-1/5"}}, "partial"},
		"absent key, short":          {404, nil, "2"},
		"absent key, shorter":        {404, h{"Cache-Control": {"max-age=1"}}, "1"},
		"absent key, not to be kept": {404, h{"Cache-Control": {"no-store"}}, "no-store"},
		"201":                        {201, nil, "status"},
		"204 of GET":                 {204, nil, "status"},
		"206":                        {206, nil, "status"},
		"304":                        {304, nil, "status"},
		"401":                        {401, nil, "status"},
		"429":                        {429, nil, "status"},
		"500":                        {500, h{"Cache-Control": {"max-age=60"}}, "status"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCache(t)
				q := ask(t, "GET", keyPath)
				c.Grant(q, time.Now())
				stored := fetch(t, c, q, tt.status, tt.header, "v")
				if _, err := strconv.Atoi(tt.want); err == nil {
					if want := "osgate; fwd=miss; stored"; stored != want {
						t.Errorf("got %q, want %q", stored, want)
					}
					wantLook(t, c, q, "osgate; hit; ttl="+tt.want, "v")
					return
				}
				if want := "osgate; fwd=miss; detail=" + tt.want; stored != want {
					t.Errorf("got %q, want %q", stored, want)
				}
				wantMiss(t, c, q)
			})
		})
	}
}

func TestPrivateIsNotStoredForMoreThanOnePrincipal(t *testing.T) {
	c := newCache(t)
	q := ask(t, "GET", keyPath)
	q.Shared = true
	if got, want := fetch(t, c, q, 200, http.Header{"Cache-Control": {"private"}}, "v"), "osgate; fwd=miss; detail=private"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestNothingOfOneExchangeIsReplayed(t *testing.T) {
	c := newCache(t)
	q := ask(t, "GET", keyPath)
	upstream := http.Header{}
	for _, name := range []string{
		"Set-Cookie", "Set-Cookie2", "RateLimit", "RateLimit-Policy", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "X-Request-Id",
		"X-Amzn-Requestid", "X-Amzn-Trace-Id", "X-Correlation-Id", "Traceparent", "X-B3-Spanid", "Via", "Age", "Connection", "Keep-Alive", "Proxy-Connection",
		"Proxy-Authenticate", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Www-Authenticate", "Authentication-Info", "Authorization", "X-Auth-Token",
		"Server", "Server-Timing", "Retry-After", "Cache-Status", "Proxy-Status", "Alt-Svc", "X-Osgate-Region", "Content-Length",
	} {
		upstream.Set(name, "old")
	}
	upstream.Set("Connection", "close, X-Hop")
	upstream.Set("X-Hop", "old")
	upstream.Set("Age", "1")
	kept := http.Header{
		"Content-Type": {"application/json"}, "Etag": {`"upstream"`}, "Date": {"Sat, 21 Nov 2026 10:00:00 GMT"}, "Last-Modified": {"x"},
		"Cache-Control": {"max-age=60"}, "X-Custom": {"a", "b"}, "Vary": {"Accept"},
	}
	maps.Copy(upstream, kept)
	fetch(t, c, q, 200, upstream, "v")
	r := c.Look(t.Context(), q, time.Now())
	kept["Content-Length"] = []string{"1"} // of the body that is stored
	if diff := cmp.Diff(kept, r.Entry.Header); diff != "" {
		t.Errorf("kept header (-want +got):\n%s", diff)
	}
	upstream["X-Custom"][0] = "changed"
	if got := r.Entry.Header["X-Custom"]; !cmp.Equal(got, []string{"a", "b"}) {
		t.Errorf("entry changed to %q with a header outside of it", got)
	}
}

// serve returns the response to a client with this header, with the fields that the
// gateway has set.
func serve(t *testing.T, c *cache.Cache, q cache.Question) *http.Response {
	t.Helper()
	r := c.Look(t.Context(), q, time.Now())
	if r.Entry == nil {
		t.Fatalf("got %q, want a hit", r.Status)
	}
	w := httptest.NewRecorder()
	w.Header().Set("X-Request-Id", "mine")
	status, err := r.Entry.Serve(w, q.Header, time.Now())
	if err != nil || status != w.Code {
		t.Fatalf("Serve returned %d, %v and sent %d", status, err, w.Code)
	}
	return w.Result()
}

func TestHitIsServedWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t)
		q := ask(t, "GET", keyPath)
		fetch(t, c, q, 200, http.Header{"Content-Type": {"application/json"}}, "value")
		pass(3500 * time.Millisecond)
		got := serve(t, c, q)
		etag := got.Header.Get("Etag")
		if !httpcache.IsOwnETag(etag) {
			t.Errorf("ETag %q, want one of ours", etag)
		}
		want := http.Header{
			"Age": {"3"}, "Cache-Control": {"private, no-cache"}, "Content-Length": {"5"}, "Content-Type": {"application/json"},
			"Etag": {etag}, "X-Request-Id": {"mine"},
		}
		if diff := cmp.Diff(want, got.Header); diff != "" || got.StatusCode != http.StatusOK {
			t.Errorf("status %d, header (-want +got):\n%s", got.StatusCode, diff)
		}
	})
}

func TestConditionalRequestIsAnsweredHere(t *testing.T) {
	c := newCache(t)
	ours, theirs := ask(t, "GET", keyPath), ask(t, "GET", keysPath)
	fetch(t, c, ours, 200, http.Header{"Content-Type": {"application/json"}}, "v")
	fetch(t, c, theirs, 200, http.Header{"Etag": {`"a,b"`}, "Last-Modified": {"Sat, 21 Nov 2026 10:00:00 GMT"}, "Content-Type": {"application/json"}}, "v")
	etag := serve(t, c, ours).Header.Get("Etag")
	for _, tt := range []struct {
		path, name, value string
		want              int
	}{
		{keyPath, "If-None-Match", etag, 304},
		{keyPath, "If-None-Match", strings.TrimPrefix(etag, "W/"), 304},
		{keyPath, "If-None-Match", `"x", ` + etag, 304},
		{keyPath, "If-None-Match", "*", 304},
		{keyPath, "If-None-Match", `"x"`, 200},
		{keyPath, "If-None-Match", "", 200},
		{keysPath, "If-None-Match", `"a,b"`, 304},
		{keysPath, "If-None-Match", `W/"a,b"`, 304},
		{keysPath, "If-None-Match", `"a"`, 200},
		{keysPath, "If-Modified-Since", "Sat, 21 Nov 2026 10:00:00 GMT", 304},
		{keysPath, "If-Modified-Since", "Sat, 21 Nov 2026 09:59:59 GMT", 200},
		{keysPath, "If-Modified-Since", "yesterday", 200},
		{keyPath, "If-Modified-Since", "Sat, 21 Nov 2026 10:00:00 GMT", 200},
	} {
		got := serve(t, c, ask(t, "GET", tt.path, tt.name, tt.value))
		if got.StatusCode != tt.want {
			t.Errorf("%s: %s: got %d, want %d", tt.name, tt.value, got.StatusCode, tt.want)
		}
		if got.StatusCode != http.StatusNotModified {
			continue
		}
		if got.Header.Get("Etag") == "" || got.Header.Get("Age") == "" || got.Header.Get("Cache-Control") == "" || got.Header.Get("Content-Type") != "" || got.Header.Get("Content-Length") != "" {
			t.Errorf("%s: %s: 304 with %v", tt.name, tt.value, got.Header)
		}
	}
	both := serve(t, c, ask(t, "GET", keysPath, "If-None-Match", `"x"`, "If-Modified-Since", "Sat, 21 Nov 2026 10:00:00 GMT"))
	if both.StatusCode != http.StatusOK {
		t.Errorf("got %d, want 200: If-Modified-Since counts only without If-None-Match", both.StatusCode)
	}
}

func TestAbsentKeyIsNeverNotModified(t *testing.T) {
	c := newCache(t)
	q := ask(t, "GET", keyPath, "If-None-Match", "*")
	c.Grant(q, time.Now())
	fetch(t, c, q, 404, nil, "no such key")
	if got := serve(t, c, q); got.StatusCode != http.StatusNotFound || got.Header.Get("Etag") != "" {
		t.Errorf("got %d with %v, want 404 without an ETag", got.StatusCode, got.Header)
	}
}

func TestHeadIsServedWithItsOwnStatusAndLength(t *testing.T) {
	c := newCache(t)
	q := ask(t, "HEAD", keyPath)
	fetch(t, c, q, 200, http.Header{"Content-Length": {"1234"}}, "")
	if got := serve(t, c, q); got.StatusCode != http.StatusOK || got.Header.Get("Content-Length") != "1234" {
		t.Errorf("got %d with Content-Length %q, want 200 with upstream's", got.StatusCode, got.Header.Get("Content-Length"))
	}
}

func TestOurValidatorDependsOnTheContentAlone(t *testing.T) {
	tag := func(contentType, body string) string {
		c := newCache(t)
		q := ask(t, "GET", keyPath)
		fetch(t, c, q, 200, http.Header{"Content-Type": {contentType}}, body)
		return serve(t, c, q).Header.Get("Etag")
	}
	same := tag("a", "b")
	if tag("a", "b") != same {
		t.Error("equal contents have different validators")
	}
	if tag("ab", "") == same || tag("a", "c") == same {
		t.Error("different contents have one validator")
	}
}

// broken is a client that has disconnected.
type broken struct{ *httptest.ResponseRecorder }

var errBroken = errors.New("broken pipe")

func (broken) Write([]byte) (int, error) { return 0, errBroken }

func TestServeReturnsTheClientsError(t *testing.T) {
	c := newCache(t)
	q := ask(t, "GET", keyPath)
	fetch(t, c, q, 200, nil, "v")
	r := c.Look(t.Context(), q, time.Now())
	if _, err := r.Entry.Serve(broken{httptest.NewRecorder()}, q.Header, time.Now()); !errors.Is(err, errBroken) {
		t.Errorf("got %v, want the client's error", err)
	}
}
