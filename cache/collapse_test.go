package cache_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"osgate/cache"
	"osgate/cache/coherence"
)

// reader is a read through a search, which may wait for another read.
type reader struct {
	search *cache.Search
	found  cache.Result
}

func read(t testing.TB, c *cache.Cache, q cache.Question) *reader {
	t.Helper()
	r := &reader{search: c.Prepare(q)}
	r.found = r.search.Look(t.Context(), time.Now())
	return r
}

// lead is a read that must fetch and that others may wait for.
func lead(t testing.TB, c *cache.Cache, q cache.Question) *reader {
	t.Helper()
	r := read(t, c, q)
	if r.found.Fill == nil || r.found.Wait {
		t.Fatalf("got %+v, want a fetch of its own", r.found)
	}
	return r
}

// outcome is the result of a follower.
type outcome struct {
	cache.Result
	err error
}

// follow is a read that waits for another read's fetch; the channel returns its
// outcome.
func follow(t testing.TB, c *cache.Cache, q cache.Question) <-chan outcome {
	t.Helper()
	return followWith(t.Context(), t, c, q, time.Minute)
}

func followWith(ctx context.Context, t testing.TB, c *cache.Cache, q cache.Question, within time.Duration) <-chan outcome {
	t.Helper()
	r := read(t, c, q)
	if !r.found.Wait {
		t.Fatalf("got %+v, want to wait for another's fetch", r.found)
	}
	got := make(chan outcome, 1)
	go func() {
		found, err := r.search.Follow(ctx, within)
		got <- outcome{found, err}
	}()
	return got
}

// finish gives upstream's complete answer to a fetch.
func (r *reader) finish(status int, header http.Header, body string) {
	r.found.Fill.Response(status, header, int64(len(body)))
	_, _ = r.found.Fill.Write([]byte(body))
	r.found.Fill.Close(true)
}

func TestFollowersGetTheLeadersAnswer(t *testing.T) {
	for _, tt := range []struct {
		name   string
		status int
		header http.Header
		stored bool
	}{
		{"stored", 200, http.Header{"X-Upstream": {"yes"}}, true},
		{"absent", 404, nil, true},
		{"forbidden", 403, nil, false},
		{"unauthorized", 401, http.Header{"Www-Authenticate": {"Bearer"}}, false},
		{"limited", 429, http.Header{"Retry-After": {"3"}}, false},
		{"failed", 500, nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCache(t)
				q := ask(t, "GET", keyPath)
				leader := lead(t, c, q)
				followers := []<-chan outcome{follow(t, c, q), follow(t, c, q)}
				pass(time.Second)
				leader.finish(tt.status, tt.header, "body")
				for _, f := range followers {
					got := <-f
					if got.err != nil || got.Entry == nil || got.Fill != nil || got.Entry.Status != tt.status || string(got.Entry.Body) != "body" {
						t.Fatalf("got %+v", got)
					}
					if s := got.Status.String(); s != "osgate; fwd=miss; collapsed" || got.Entry.Age(time.Now()) != time.Second {
						t.Errorf("%s, age %v", s, got.Entry.Age(time.Now()))
					}
					for name := range tt.header {
						if got.Entry.Header.Get(name) != tt.header.Get(name) {
							t.Errorf("%s is %q", name, got.Entry.Header.Get(name))
						}
					}
				}
				c.Grant(q, time.Now())
				if r := c.Look(t.Context(), q, time.Now()); (r.Entry != nil) != tt.stored {
					t.Errorf("a hit afterwards is %t, want %t", r.Entry != nil, tt.stored)
				}
				if s := c.Stats(); s.Collapsed != 2 || s.UnderWay != 0 {
					t.Errorf("%+v", s)
				}
			})
		})
	}
}

func TestFollowersOfWhatCannotBeSharedGoUpstreamAtOnce(t *testing.T) {
	for name, answer := range map[string]func(f *cache.Fill){
		"no-store":        func(f *cache.Fill) { f.Response(200, http.Header{"Cache-Control": {"no-store"}}, 1) },
		"no-cache":        func(f *cache.Fill) { f.Response(200, http.Header{"Cache-Control": {"no-cache"}}, 1) },
		"error, no-store": func(f *cache.Fill) { f.Response(500, http.Header{"Cache-Control": {"no-store"}}, 1) },
		"vary":            func(f *cache.Fill) { f.Response(200, http.Header{"Vary": {"*"}}, 1) },
		"expired":         func(f *cache.Fill) { f.Response(200, http.Header{"Cache-Control": {"max-age=0"}}, 1) },
		"announced large": func(f *cache.Fill) { f.Response(200, nil, 1<<20) },
		"grows large": func(f *cache.Fill) {
			f.Response(200, nil, -1)
			for range 65 {
				_, _ = f.Write(make([]byte, 1<<10))
			}
		},
		"cut": func(f *cache.Fill) {
			f.Response(200, nil, 10)
			f.Close(false)
		},
		"not as long as announced": func(f *cache.Fill) {
			f.Response(200, nil, 10)
			f.Close(true)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCache(t)
				q := ask(t, "GET", keyPath)
				leader := lead(t, c, q)
				follower := follow(t, c, q)
				answer(leader.found.Fill)
				synctest.Wait()
				select {
				case got := <-follower:
					if got.err != nil || got.Entry != nil || got.Fill == nil || got.Status.Collapsed {
						t.Errorf("got %+v, want a fetch of its own", got)
					}
				default:
					t.Fatal("the follower is not woken")
				}
				leader.found.Fill.Close(false)
				if s := c.Stats(); s.UnderWay != 0 {
					t.Errorf("%d bytes are never given back", s.UnderWay)
				}
			})
		})
	}
}

func TestLeaderReadsAheadWhileSomethingIsKept(t *testing.T) {
	c := newCache(t)
	q := ask(t, "GET", keyPath)
	f := lead(t, c, q).found.Fill
	if f.ReadAhead() {
		t.Error("before there is an answer")
	}
	f.Response(200, nil, -1)
	chunk := strings.Repeat("x", 40<<10)
	_, _ = f.Write([]byte(chunk))
	if !f.ReadAhead() || string(f.Kept()) != chunk {
		t.Errorf("ahead is %t with %d bytes", f.ReadAhead(), len(f.Kept()))
	}
	_, _ = f.Write([]byte(chunk))
	if f.ReadAhead() || string(f.Kept()) != chunk || c.Stats().UnderWay < 40<<10 {
		t.Errorf("outgrown: ahead is %t with %d bytes, %d charged", f.ReadAhead(), len(f.Kept()), c.Stats().UnderWay)
	}
	f.Close(true)
	if c.Stats().UnderWay != 0 || c.Stats().Entries != 0 {
		t.Errorf("%+v", c.Stats())
	}
}

func TestOnlyTheSameTokenAndRequestJoin(t *testing.T) {
	c := newCache(t)
	q := ask(t, "GET", keyPath)
	lead(t, c, q)
	for name, change := range map[string]func(q *cache.Question){
		"another token":     func(q *cache.Question) { q.Token = [32]byte{2} },
		"another principal": func(q *cache.Question) { q.Scope = "two" },
		"another place":     func(q *cache.Question) { q.Location = "eu/eu-west-1" },
		"another key":       func(q *cache.Question) { q.Operation = ask(t, "GET", keysPath+"/other").Operation },
		"another form":      func(q *cache.Question) { q.Header = http.Header{"Accept": {"text/plain"}} },
		"HEAD":              func(q *cache.Question) { q.Operation = ask(t, "HEAD", keyPath).Operation },
		"no-cache":          func(q *cache.Question) { q.Header = http.Header{"Cache-Control": {"no-cache"}} },
		"no-store":          func(q *cache.Question) { q.Header = http.Header{"Cache-Control": {"no-store"}} },
		"only-if-cached":    func(q *cache.Question) { q.Header = http.Header{"Cache-Control": {"only-if-cached"}} },
		"a body":            func(q *cache.Question) { q.HasBody = true },
	} {
		other := q
		change(&other)
		r := read(t, c, other)
		if r.found.Wait {
			t.Errorf("%s: joined", name)
		}
		if r.found.Fill != nil {
			r.found.Fill.Close(false)
		}
	}
	if r := read(t, c, q); !r.found.Wait {
		t.Errorf("the same: %+v", r.found)
	}
}

func TestAValidatorOfUpstreamsJoinsButDoesNotLead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t)
		q := ask(t, "GET", keyPath, "If-None-Match", `"theirs"`)
		alone := lead(t, c, q)
		leader := lead(t, c, ask(t, "GET", keyPath))
		follower := follow(t, c, q)
		alone.found.Fill.Response(304, nil, 0)
		alone.found.Fill.Close(true)
		leader.finish(200, http.Header{"Etag": {`"theirs"`}}, "v")
		if got := <-follower; got.Entry == nil || got.Entry.Status != 200 {
			t.Errorf("got %+v", got)
		}
	})
}

func TestNothingIsJoinedAcrossAWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t)
		q := ask(t, "GET", keyPath)
		before := lead(t, c, q)
		m := mark(t, c, ask(t, "PUT", keyPath))
		if r := read(t, c, q); r.found.Wait || r.found.Fill != nil {
			t.Errorf("under a lease: %+v", r.found)
		}
		m.Done(cache.Applied)
		after := lead(t, c, q) // it must see the write, which the fetch under way may not
		follower := follow(t, c, q)
		before.finish(200, nil, "old")
		after.finish(200, nil, "new")
		if got := <-follower; got.Entry == nil || string(got.Entry.Body) != "new" {
			t.Errorf("got %+v", got)
		}
	})
}

func TestNothingIsJoinedWhereCoherenceIsUnknown(t *testing.T) {
	c := newCache(t, func(o *cache.Options) { o.Coherence = &away{Tracker: coherence.NewLocal()} })
	for range 2 {
		if r := read(t, c, ask(t, "GET", keyPath)); r.found.Wait || r.found.Fill != nil {
			t.Errorf("%+v", r.found)
		}
	}
}

// away is a store of generations that cannot be read.
type away struct{ coherence.Tracker }

func (*away) Read(context.Context, coherence.Resources) (coherence.Reading, error) {
	return coherence.Reading{}, errors.New("away")
}

func TestWaitingIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t)
		q := ask(t, "GET", keyPath)
		lead(t, c, q)
		began := time.Now()
		got := <-followWith(t.Context(), t, c, q, 30*time.Second)
		if !errors.Is(got.err, cache.ErrLate) || time.Since(began) != 30*time.Second {
			t.Errorf("after %v: %+v", time.Since(began), got)
		}
	})
}

func TestNumberOfFollowersIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t)
		const each, all = 4096, 8192
		var leaders []*reader
		waiting := 0
		for _, key := range []string{"a", "b", "c"} {
			q := ask(t, "GET", keysPath+"/"+key)
			leader := lead(t, c, q)
			leaders = append(leaders, leader)
			joined := 0
			for range each + 1 {
				r := read(t, c, q)
				if !r.found.Wait {
					r.found.Fill.Close(false)
					continue
				}
				joined++
				go func() { _, _ = r.search.Follow(t.Context(), time.Minute) }()
			}
			waiting += joined
			if want := min(each, all-(waiting-joined)); joined != want {
				t.Errorf("%s: %d joined, want %d", key, joined, want)
			}
		}
		for _, l := range leaders {
			l.finish(200, nil, "v")
		}
		synctest.Wait()
		if s := c.Stats(); s.Collapsed != all {
			t.Errorf("%+v", s)
		}
		lead(t, c, ask(t, "GET", keysPath+"/d"))
		if r := read(t, c, ask(t, "GET", keysPath+"/d")); !r.found.Wait {
			t.Errorf("a follower that has its answer still takes room: %+v", r.found)
		}
	})
}

func TestLateComerFindsWhatHasLanded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t)
		q := ask(t, "GET", keyPath)
		first := lead(t, c, q)
		c.Grant(q, time.Now())
		first.finish(200, nil, "v")
		if r := read(t, c, q); r.found.Entry == nil || r.found.Wait {
			t.Errorf("%+v", r.found)
		}
		first.found.Fill.Close(true) // a second Close has no effect
		wantLook(t, c, q, "osgate; hit; ttl=10", "v")
	})
}

func TestFollowersDemandsHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t)
		leader := lead(t, c, ask(t, "GET", keyPath))
		young := follow(t, c, ask(t, "GET", keyPath, "Cache-Control", "max-age=5"))
		old := follow(t, c, ask(t, "GET", keyPath, "Cache-Control", "max-age=20"))
		pass(6 * time.Second)
		leader.finish(200, nil, "v")
		if got := <-young; got.Fill == nil {
			t.Errorf("max-age=5 got %+v", got)
		}
		if got := <-old; got.Entry == nil {
			t.Errorf("max-age=20 got %+v", got)
		}
	})
}

func TestNothingIsFollowedWithoutAFetch(t *testing.T) {
	c := newCache(t)
	if _, err := c.Prepare(ask(t, "GET", keyPath)).Follow(t.Context(), time.Minute); err == nil {
		t.Error("Follow without a fetch to wait for")
	}
}

func TestARequestForWhatIsStoredBeginsNoFetch(t *testing.T) {
	c := newCache(t)
	if r := read(t, c, ask(t, "GET", keyPath, "Cache-Control", "only-if-cached")); !r.found.OnlyIfCached || r.found.Fill != nil {
		t.Errorf("got %+v", r.found)
	}
	lead(t, c, ask(t, "GET", keyPath)) // would wait if the read above had left a flight
}
