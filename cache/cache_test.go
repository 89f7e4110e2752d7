package cache_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"osgate/cache"
	"osgate/cache/coherence"
	"osgate/objectstore"
)

const location = "us/us-east-1"

const (
	regionsPath    = "regions"
	storesPath     = "environments/env/stores"
	storePath      = storesPath + "/st"
	partitionsPath = storePath + "/partitions"
	partitionPath  = partitionsPath + "/p"
	keysPath       = partitionPath + "/keys"
	keyPath        = keysPath + "/k"
)

func newCache(t testing.TB, change ...func(*cache.Options)) *cache.Cache {
	t.Helper()
	o := cache.Options{
		KeyTTL: 10 * time.Second, StoresTTL: time.Minute, KeysTTL: 10 * time.Second,
		Bytes: 1 << 20, EntryBytes: 64 << 10, GrantTTL: time.Minute, WriteLease: time.Minute,
	}
	for _, f := range change {
		f(&o)
	}
	c, err := cache.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// ask returns a question of principal "one" with token 1 about a resource of the
// organization "org".
func ask(t testing.TB, method, target string, header ...string) cache.Question {
	t.Helper()
	path, query, _ := strings.Cut(target, "?")
	o, err := objectstore.Parse(method, "/api/v1/organizations/org/"+path, query)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	h := http.Header{}
	for i := 0; i < len(header); i += 2 {
		h.Add(header[i], header[i+1])
	}
	return cache.Question{Location: location, Operation: o, Scope: "one", Token: [32]byte{1}, Header: h}
}

// answer is upstream's answer to a fetch.
type answer struct {
	status int
	header http.Header
	body   string
}

// receive gives the answer to the Fill of a miss, which was looked up at asked. It
// returns the Cache-Status that the client receives.
func receive(c *cache.Cache, q cache.Question, r cache.Result, a answer, asked time.Time) string {
	if r.Fill != nil {
		stored, reason := r.Fill.Response(a.status, a.header, int64(len(a.body)))
		r.Status.Stored = stored
		if reason != "" {
			r.Status.Detail = reason
		}
		if q.Operation.Method() != http.MethodHead {
			_, _ = r.Fill.Write([]byte(a.body))
		}
		r.Fill.Close(true)
	}
	if a.status < 300 {
		c.Grant(q, asked)
	}
	return r.Status.String()
}

// fetch is a read that misses and that upstream answers at once.
func fetch(t testing.TB, c *cache.Cache, q cache.Question, status int, header http.Header, body string) string {
	t.Helper()
	now := time.Now()
	r := c.Look(t.Context(), q, now)
	if r.Entry != nil {
		t.Fatalf("%s %s: got a hit of %q, want a miss", q.Operation.Method(), q.Operation.Path(), r.Entry.Body)
	}
	return receive(c, q, r, answer{status, header, body}, now)
}

// look returns the Cache-Status of a look, and the body if it is a hit.
func look(t testing.TB, c *cache.Cache, q cache.Question) (status, body string) {
	t.Helper()
	r := c.Look(t.Context(), q, time.Now())
	if r.Entry == nil {
		if r.Fill != nil {
			r.Fill.Close(false)
		}
		return r.Status.String(), ""
	}
	w := httptest.NewRecorder()
	if _, err := r.Entry.Serve(w, q.Header, time.Now()); err != nil {
		t.Fatal(err)
	}
	return r.Status.String(), w.Body.String()
}

func wantLook(t testing.TB, c *cache.Cache, q cache.Question, wantStatus, wantBody string) {
	t.Helper()
	status, body := look(t, c, q)
	if status != wantStatus || body != wantBody {
		t.Errorf("%s %s %v: got %q with %q, want %q with %q", q.Operation.Method(), q.Operation.Path(), q.Header, status, body, wantStatus, wantBody)
	}
}

func wantHit(t testing.TB, c *cache.Cache, q cache.Question) {
	t.Helper()
	if status, _ := look(t, c, q); !strings.HasPrefix(status, "osgate; hit") {
		t.Errorf("%s %s: got %q, want a hit", q.Operation.Method(), q.Operation.Path(), status)
	}
}

func wantMiss(t testing.TB, c *cache.Cache, q cache.Question) {
	t.Helper()
	wantLook(t, c, q, "osgate; fwd=miss", "")
}

func mark(t testing.TB, c *cache.Cache, q cache.Question) *cache.Mark {
	t.Helper()
	m, err := c.Mark(t.Context(), q, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// pass lets time pass in a bubble.
func pass(d time.Duration) { <-time.After(d) }

func TestAnswerIsServedUntilItIsStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t)
		q := ask(t, "GET", keyPath)
		if got, want := fetch(t, c, q, 200, nil, "v1"), "osgate; fwd=miss; stored"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		wantLook(t, c, q, "osgate; hit; ttl=10", "v1")
		pass(2 * time.Second)
		wantLook(t, c, q, "osgate; hit; ttl=8", "v1")
		pass(8 * time.Second)
		wantMiss(t, c, q)
	})
}

func TestAgeCountsFromBeforeTheFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t)
		q := ask(t, "GET", keyPath)
		asked := time.Now()
		r := c.Look(t.Context(), q, asked)
		pass(3 * time.Second) // upstream is slow
		receive(c, q, r, answer{200, http.Header{"Age": {"2"}}, "v1"}, asked)
		wantLook(t, c, q, "osgate; hit; ttl=5", "v1")
		pass(6 * time.Second) // the store keeps it for its lifetime from now, so it is there and stale
		wantLook(t, c, q, "osgate; fwd=stale", "")
	})
}

func TestEveryCacheableKindIsServedUnderItsOwnLifetime(t *testing.T) {
	for path, want := range map[string]string{
		keyPath:                               "osgate; hit; ttl=10",
		keyPath + "?confirmable=false":        "osgate; hit; ttl=10",
		keysPath + "?beginsWith=a&pageSize=5": "osgate; hit; ttl=20",
		partitionsPath:                        "osgate; hit; ttl=20",
		storePath:                             "osgate; hit; ttl=60",
		storesPath + "?nextPageToken=x":       "osgate; hit; ttl=60",
		regionsPath:                           "osgate; hit; ttl=60",
	} {
		t.Run(path, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCache(t, func(o *cache.Options) { o.KeysTTL = 20 * time.Second })
				q := ask(t, "GET", path)
				fetch(t, c, q, 200, nil, "v")
				wantLook(t, c, q, want, "v")
			})
		})
	}
}

func TestTTLIsWhatIsConfiguredForTheOperation(t *testing.T) {
	c := newCache(t, func(o *cache.Options) { o.KeysTTL = 0 })
	for request, want := range map[string]time.Duration{
		"GET " + keyPath: 10 * time.Second, "GET " + storesPath: time.Minute, "GET " + keysPath: 0, "PUT " + keyPath: 0, "GET " + keyPath + "?x": 0,
	} {
		method, path, _ := strings.Cut(request, " ")
		if got := c.TTL(ask(t, method, path).Operation); got != want {
			t.Errorf("%s: got %v, want %v", request, got, want)
		}
	}
}

func TestKindTurnedOffGoesPast(t *testing.T) {
	c := newCache(t, func(o *cache.Options) { o.KeysTTL, o.StoresTTL = 0, 0 })
	for _, path := range []string{keysPath, partitionsPath, storesPath, storePath, regionsPath} {
		q := ask(t, "GET", path)
		if got, want := fetch(t, c, q, 200, nil, "{}"), "osgate; fwd=bypass; detail=disabled"; got != want {
			t.Errorf("%s: got %q, want %q", path, got, want)
		}
		wantLook(t, c, q, "osgate; fwd=bypass; detail=disabled", "")
	}
}

func TestUncacheableRequestHasNoCacheStatus(t *testing.T) {
	c := newCache(t)
	for _, request := range []string{
		"GET " + keyPath + "?confirmable=true", "HEAD " + keyPath + "?confirmable", "GET " + partitionPath, "HEAD " + partitionPath,
		"PUT " + keyPath, "POST " + keyPath, "DELETE " + keysPath, "PUT " + storePath, "GET environments",
	} {
		method, path, _ := strings.Cut(request, " ")
		r := c.Look(t.Context(), ask(t, method, path, "Cache-Control", "only-if-cached"), time.Now())
		if r != (cache.Result{}) || r.Status.String() != "" {
			t.Errorf("%s: got %+v, want an empty result", request, r)
		}
	}
}

func TestUnknownParameterGoesPast(t *testing.T) {
	c := newCache(t)
	for _, query := range []string{"x=1", "pageSize=1&pageSize=2", "a;b"} {
		r := c.Look(t.Context(), ask(t, "GET", keysPath+"?"+query), time.Now())
		if got, want := r.Status.String(), "osgate; fwd=bypass; detail=query"; got != want || r.Fill != nil {
			t.Errorf("%s: got %q and fill %v, want %q and none", query, got, r.Fill, want)
		}
	}
}

func TestPagesAreApart(t *testing.T) {
	c := newCache(t)
	fetch(t, c, ask(t, "GET", keysPath), 200, nil, "page 1")
	for _, query := range []string{"?pageSize=25", "?nextPageToken=a", "?nextPageToken=b", "?beginsWith=a", "?beginsWith=a&nextPageToken=a"} {
		q := ask(t, "GET", keysPath+query)
		wantMiss(t, c, q)
		fetch(t, c, q, 200, nil, query)
	}
	_, body := look(t, c, ask(t, "GET", keysPath+"?nextPageToken=b"))
	if body != "?nextPageToken=b" {
		t.Errorf("got %q of another page", body)
	}
}

func TestHeadAndGetAreApart(t *testing.T) {
	c := newCache(t)
	get, head := ask(t, "GET", keyPath), ask(t, "HEAD", keyPath)
	fetch(t, c, get, 200, nil, "v1")
	c.Grant(head, time.Now())
	wantMiss(t, c, head)
	fetch(t, c, head, 204, nil, "")
	r := c.Look(t.Context(), head, time.Now())
	if r.Entry == nil || r.Entry.Status != 204 || r.Entry.ETag() != "" {
		t.Fatalf("got %+v, want a hit of 204 without an ETag", r)
	}
	_, body := look(t, c, get)
	if body != "v1" {
		t.Errorf("got %q for GET after HEAD", body)
	}
}

func TestAbsenceOfAKeyIsBelievedForTwoSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t)
		for _, method := range []string{"GET", "HEAD"} {
			q := ask(t, method, keyPath)
			c.Grant(q, time.Now())
			fetch(t, c, q, 404, nil, "")
			status, _ := look(t, c, q)
			if want := "osgate; hit; ttl=2"; status != want {
				t.Errorf("%s: got %q, want %q", method, status, want)
			}
			pass(2 * time.Second)
			wantMiss(t, c, q)
		}
		list := ask(t, "GET", keysPath)
		if got, want := fetch(t, c, list, 404, nil, ""), "osgate; fwd=miss; detail=status"; got != want {
			t.Errorf("404 of a list: got %q, want %q", got, want)
		}
	})
}

func TestBothSpellingsOfASpaceAreOneKey(t *testing.T) {
	c := newCache(t)
	fetch(t, c, ask(t, "GET", keysPath+"/a%20b"), 200, nil, "v1")
	wantHit(t, c, ask(t, "GET", keysPath+"/a+b"))
	mark(t, c, ask(t, "PUT", keysPath+"/a+b")).Done(cache.Applied)
	wantMiss(t, c, ask(t, "GET", keysPath+"/a%20b"))
}

func TestKeyOfAnEntryIsStable(t *testing.T) {
	c := newCache(t)
	q := ask(t, "GET", keyPath)
	key := c.Key(q)
	if len(key) != 64 || key != newCache(t).Key(ask(t, "GET", keyPath)) {
		t.Errorf("got %q, want the same 64 hexadecimal digits in every process", key)
	}
}

// outage is a coherence that is unavailable.
type outage struct{}

var errGone = errors.New("gone")

func (outage) Read(context.Context, coherence.Resources) (coherence.Reading, error) {
	return coherence.Reading{}, errGone
}
func (outage) Mark(context.Context, coherence.Resources, coherence.ID, time.Duration) error {
	return errGone
}
func (outage) Settled() int64                                  { return 0 }
func (outage) Release(coherence.Resources, coherence.ID, bool) {}
func (outage) Reset(context.Context) error                     { return errGone }

func TestNothingIsServedOrStoredWithoutCoherence(t *testing.T) {
	c := newCache(t, func(o *cache.Options) { o.Coherence = outage{} })
	r := c.Look(t.Context(), ask(t, "GET", keyPath), time.Now())
	if got, want := r.Status.String(), "osgate; fwd=bypass; detail=coherence-unavailable"; got != want || r.Fill != nil {
		t.Errorf("got %q and fill %v, want %q and none", got, r.Fill, want)
	}
	if m, err := c.Mark(t.Context(), ask(t, "PUT", keyPath), time.Now()); !errors.Is(err, errGone) || m != nil {
		t.Errorf("Mark: got %v, %v, want nil and the error", m, err)
	}
	if _, err := c.Purge(t.Context(), cache.PurgeTarget{All: true}); !errors.Is(err, errGone) {
		t.Errorf("Purge: got %v, want the error", err)
	}
}

func TestRunFreesWhatHasExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- c.Run(ctx) }()
		for i := range 100 {
			fetch(t, c, ask(t, "GET", fmt.Sprint(keyPath, i)), 200, nil, "v")
		}
		if n := c.Stats().Entries; n != 100 {
			t.Errorf("got %d entries, want 100", n)
		}
		pass(13 * time.Second)
		if s := c.Stats(); s.Entries != 0 || s.Bytes != 0 {
			t.Errorf("got %d entries of %d bytes after they expired, want none", s.Entries, s.Bytes)
		}
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

func TestStatsCountEveryLookOnce(t *testing.T) {
	c := newCache(t)
	q := ask(t, "GET", keyPath)
	fetch(t, c, q, 200, nil, "v")
	look(t, c, q)
	look(t, c, ask(t, "GET", keyPath, "Cache-Control", "no-store"))
	m := mark(t, c, ask(t, "PUT", keyPath))
	look(t, c, q)
	m.Done(cache.Applied)
	look(t, c, ask(t, "PUT", keyPath))
	s := c.Stats()
	s.Bytes = 0
	want := cache.Stats{Entries: 1, Hits: 1, Misses: 1, Requests: 1, Bypasses: 1, Fills: 1, Marks: 1}
	want.Outcomes[cache.Applied] = 1
	if s != want {
		t.Errorf("got %+v, want %+v", s, want)
	}
}
