package cache_test

import (
	"net/http"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"osgate/cache"
)

// requireTTL makes a cache keep no value of a store whose TTL is not known.
func requireTTL(o *cache.Options) { o.RequireTTL = true }

// learn gives c the answer to a request for the store of these tests.
func learn(t *testing.T, c *cache.Cache, status int, body string) {
	t.Helper()
	q := ask(t, "GET", storePath)
	f := c.TTLFill(q, time.Now())
	f.Response(status, http.Header{}, int64(len(body)))
	_, _ = f.Write([]byte(body))
	f.Close(true)
}

func TestNothingIsKeptThatMayExpireUnknown(t *testing.T) {
	for _, test := range []struct {
		method, target string
		status         int
		kept           bool
	}{
		{"GET", keyPath, 200, false},
		{"HEAD", keyPath, 204, false},
		{"GET", keysPath, 200, false},
		{"GET", keyPath, 404, true}, // an absent value does not expire
		{"GET", storePath, 200, true},
		{"GET", storesPath, 200, true},
	} {
		t.Run(test.method+" "+test.target+" "+strconv.Itoa(test.status), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, q := newCache(t, requireTTL), ask(t, test.method, test.target)
				c.Grant(q, time.Now())
				want := "osgate; fwd=miss; detail=ttl-unknown"
				if test.kept {
					want = "osgate; fwd=miss; stored"
				}
				if got := fetch(t, c, q, test.status, nil, ""); got != want {
					t.Errorf("%q, want %q", got, want)
				}
				learn(t, c, 200, `{"storeId":"st","defaultTtlSeconds":400}`)
				if !test.kept {
					fetch(t, c, q, test.status, nil, "")
					wantLook(t, c, q, "osgate; hit; ttl=4", "")
				}
			})
		})
	}
}

func TestAnAnswerWaitsForAFetchUntilItIsASecondOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, q := newCache(t, requireTTL), ask(t, "GET", keyPath)
		_, done := c.LearnTTL(q, time.Now())
		if done == nil {
			t.Fatal("no fetch")
		}
		defer done()
		pass(cache.TTLWait - time.Nanosecond)
		if end, _ := c.LearnTTL(q, time.Now()); end == nil {
			t.Error("an answer does not wait for a fetch that is younger")
		}
		pass(time.Nanosecond)
		if end, _ := c.LearnTTL(q, time.Now()); end != nil {
			t.Error("an answer waits for a fetch that is a second old")
		}
	})
}

func TestATTLIsKnownForAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, q := newCache(t, requireTTL), ask(t, "GET", keyPath)
		learn(t, c, 200, `{"storeId":"st","defaultTtlSeconds":2592000}`)
		pass(time.Hour - time.Nanosecond)
		if end, done := c.LearnTTL(q, time.Now()); end != nil || done != nil {
			t.Error("it is requested again within the hour")
		}
		if got, want := fetch(t, c, q, 200, nil, "v"), "osgate; fwd=miss; stored"; got != want {
			t.Errorf("%q, want %q", got, want)
		}
		pass(11 * time.Second)
		if got, want := fetch(t, c, q, 200, nil, "v"), "osgate; fwd=miss; detail=ttl-unknown"; got != want {
			t.Errorf("%q, want %q", got, want)
		}
		if _, done := c.LearnTTL(q, time.Now()); done == nil {
			t.Error("it is not requested again after the hour")
		}
	})
}

func TestAStoreObjectStatesItsTTLInSecondsOrMilliseconds(t *testing.T) {
	for body, want := range map[string]string{
		`{"storeId":"st","defaultTtlSeconds":400}`:    "osgate; hit; ttl=4",
		`{"storeId":"st","defaultTtlSeconds":400.9}`:  "osgate; hit; ttl=4",
		`{"storeId":"st","defaultTtlMillis":400000}`:  "osgate; hit; ttl=4",
		`{"storeId":"st","defaultTtlSeconds":0}`:      "osgate; hit; ttl=10", // upstream uses 30 days
		`{"storeId":"st","defaultTtlSeconds":1e300}`:  "osgate; hit; ttl=10",
		`{"storeId":"st"}`:                            "osgate; hit; ttl=10",
		` {"valueType":"STRING"}`:                     "osgate; hit; ttl=10",
		`null`:                                        "osgate; fwd=miss",
		`[]`:                                          "osgate; fwd=miss",
		`{"storeId":"st","defaultTtlSeconds":"soon"}`: "osgate; fwd=miss",
	} {
		t.Run(body, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, q := newCache(t, requireTTL), ask(t, "GET", keyPath)
				learn(t, c, 200, body)
				fetch(t, c, q, 200, nil, "")
				wantLook(t, c, q, want, "")
			})
		})
	}
}

func TestStoreIsRequestedOnceForConcurrentWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, q, other := newCache(t, requireTTL), ask(t, "GET", keyPath), ask(t, "GET", keyPath+"2")
		q.Client, other.Client = "one", "two"
		end, done := c.LearnTTL(q, time.Now())
		if end == nil || done == nil {
			t.Fatal("the first is not to request it")
		}
		also, second := c.LearnTTL(other, time.Now())
		if also != end || second != nil {
			t.Error("the second does not wait for the first")
		}
		if _, done := c.LearnTTL(ask(t, "GET", storesPath+"/else/partitions/p/keys/k"), time.Now()); done == nil {
			t.Error("another store waits for this one")
		}
		learn(t, c, 200, `{"storeId":"st","defaultTtlSeconds":400}`)
		done()
		<-also
		if s := c.Stats(); s.TTLsLearned != 1 || s.TTLsFailed != 0 {
			t.Errorf("%+v", s)
		}
	})
}

func TestAFailedFetchOfATTLIsNotRepeatedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, q, other := newCache(t, requireTTL), ask(t, "GET", keyPath), ask(t, "GET", keyPath)
		q.Client, other.Client = "one", "two"
		fail := func(q cache.Question) (requested bool) {
			end, done := c.LearnTTL(q, time.Now())
			if done == nil {
				return false
			}
			learn(t, c, http.StatusForbidden, `{"storeId":"st","defaultTtlSeconds":400}`)
			done()
			<-end
			return true
		}
		pass(time.Second)
		if !fail(q) || fail(q) {
			t.Error("it is requested twice, or never")
		}
		if !fail(other) {
			t.Error("a failed fetch for one client keeps another client from fetching")
		}
		pass(5*time.Second - time.Nanosecond)
		if fail(q) {
			t.Error("it is requested again within 5 s")
		}
		pass(time.Nanosecond)
		if !fail(q) {
			t.Error("it is not requested again after 5 s")
		}
		pass(time.Second)
		mark(t, c, ask(t, "PUT", storePath)).Done(cache.Applied)
		if !fail(q) {
			t.Error("it is not requested again though the store was written")
		}
		if s := c.Stats(); s.TTLsLearned != 0 || s.TTLsFailed != 4 {
			t.Errorf("%+v", s)
		}
	})
}
