package cache_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"osgate/cache"
)

// open returns a Fill that has received its answer's header.
func open(t testing.TB, c *cache.Cache, q cache.Question, length int64) (f *cache.Fill, willStore bool, reason string) {
	t.Helper()
	now := time.Now()
	f = c.Look(t.Context(), q, now).Fill
	c.Grant(q, now)
	willStore, reason = f.Response(http.StatusOK, nil, length)
	return f, willStore, reason
}

func write(t testing.TB, f *cache.Fill, p string) {
	t.Helper()
	if n, err := f.Write([]byte(p)); n != len(p) || err != nil {
		t.Fatalf("Write returned %d, %v: it must never fail the client", n, err)
	}
}

func TestOnlyCompleteBodiesAreStored(t *testing.T) {
	for name, tt := range map[string]struct {
		length   int64
		body     string
		complete bool
		want     bool
	}{
		"complete":                      {4, "body", true, true},
		"complete of unknown length":    {-1, "body", true, true},
		"empty":                         {0, "", true, true},
		"cut":                           {4, "body", false, false},
		"cut of unknown length":         {-1, "body", false, false},
		"shorter than its length":       {5, "body", true, false},
		"longer than its length":        {3, "body", true, false},
		"nothing of a length, complete": {5, "", true, false},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCache(t)
			q := ask(t, "GET", keyPath)
			f, _, _ := open(t, c, q, tt.length)
			for _, b := range tt.body {
				write(t, f, string(b))
			}
			f.Close(tt.complete)
			f.Close(true)
			r := c.Look(t.Context(), q, time.Now())
			if (r.Entry != nil) != tt.want {
				t.Fatalf("stored is %t, want %t", r.Entry != nil, tt.want)
			}
			if tt.want && string(r.Entry.Body) != tt.body {
				t.Errorf("stored %q, want %q", r.Entry.Body, tt.body)
			}
			if n := c.Stats().UnderWay; n != 0 {
				t.Errorf("%d bytes are still under way", n)
			}
		})
	}
}

func TestLargeBodyIsStreamedNotStored(t *testing.T) {
	const limit = 1000
	large := strings.Repeat("x", limit+1)
	small := func(o *cache.Options) { o.EntryBytes = limit }
	t.Run("known", func(t *testing.T) {
		c := newCache(t, small)
		f, willStore, reason := open(t, c, ask(t, "GET", keyPath), int64(len(large)))
		if willStore || reason != "too-large" {
			t.Errorf("got %t, %q, want false and too-large", willStore, reason)
		}
		write(t, f, large)
		f.Close(true)
		wantMiss(t, c, ask(t, "GET", keyPath))
	})
	t.Run("unknown", func(t *testing.T) {
		c := newCache(t, small)
		f, willStore, _ := open(t, c, ask(t, "GET", keyPath), -1)
		if !willStore {
			t.Error("refused before it is known to be large")
		}
		for _, b := range large + "x" {
			write(t, f, string(b))
		}
		if n := c.Stats().UnderWay; n != 0 {
			t.Errorf("%d bytes of a dropped entry are kept", n)
		}
		f.Close(true)
		wantMiss(t, c, ask(t, "GET", keyPath))
	})
	t.Run("the largest", func(t *testing.T) {
		c := newCache(t, small)
		f, _, _ := open(t, c, ask(t, "GET", keyPath), -1)
		for _, b := range large[1:] {
			write(t, f, string(b))
		}
		f.Close(true)
		wantHit(t, c, ask(t, "GET", keyPath))
	})
}

func TestAnswersUnderWayAreBounded(t *testing.T) {
	c := newCache(t, func(o *cache.Options) { o.Bytes, o.EntryBytes = 40_000, 1000 })
	var fills []*cache.Fill
	refused := 0
	for i := range 100 {
		f, willStore, reason := open(t, c, ask(t, "GET", fmt.Sprint(keyPath, i)), 1000)
		if !willStore {
			refused++
			if reason != "too-large" {
				t.Errorf("refused as %q", reason)
			}
		}
		fills = append(fills, f)
	}
	if s := c.Stats(); s.UnderWay != 10_000 || refused != 90 {
		t.Errorf("%d bytes under way and %d refused, want a quarter of Bytes and 90", s.UnderWay, refused)
	}
	for _, f := range fills {
		f.Close(false)
	}
	if n := c.Stats().UnderWay; n != 0 {
		t.Errorf("%d bytes under way after all were closed", n)
	}
}

func TestFillThatIsNotAnsweredStoresNothing(t *testing.T) {
	c := newCache(t)
	q := ask(t, "GET", keyPath)
	c.Grant(q, time.Now())
	f := c.Look(t.Context(), q, time.Now()).Fill
	write(t, f, "v")
	f.Close(true)
	wantMiss(t, c, q)
}

func TestYoungerFetchIsKept(t *testing.T) {
	c := newCache(t)
	q := ask(t, "GET", keyPath)
	now := time.Now()
	old, young := c.Look(t.Context(), q, now), c.Look(t.Context(), q, now.Add(time.Second))
	receive(c, q, young, answer{200, nil, "young"}, now)
	receive(c, q, old, answer{200, nil, "old"}, now)
	if _, body := look(t, c, q); body != "young" {
		t.Errorf("got %q, want the answer of the later request", body)
	}
}

func TestMemoryStaysWithinBytes(t *testing.T) {
	const bytes = 4 << 20
	c := newCache(t, func(o *cache.Options) { o.Bytes, o.KeyTTL = bytes, time.Hour })
	before := heap()
	random := rand.New(rand.NewPCG(1, 2))
	header := http.Header{"Content-Type": {"application/json"}, "Date": {"Sat, 21 Nov 2026 10:00:00 GMT"}}
	for i := range 8_000 { // small ones, for which the overhead is largest
		q := ask(t, "GET", fmt.Sprint(keyPath, i))
		r := c.Look(t.Context(), q, time.Now())
		length := random.IntN(600)
		r.Fill.Response(200, header, int64(length))
		_, _ = r.Fill.Write(make([]byte, length))
		r.Fill.Close(true)
		if n := c.Stats().Bytes; n > bytes {
			t.Fatalf("%d bytes stored after %d fills, want %d at most", n, i, bytes)
		}
	}
	used := heap() - before
	s := c.Stats()
	t.Logf("%d entries of %d bytes take %d bytes of heap, generations included; %d evicted", s.Entries, s.Bytes, used, s.Evictions)
	if s.Bytes < bytes*9/10 || s.Evictions == 0 {
		t.Errorf("only %d of %d bytes are used and %d evicted: too few for this test", s.Bytes, bytes, s.Evictions)
	}
	const generations = 20 << 20 // the size in the comment of coherence.NewLocal
	if used > bytes+generations {
		t.Errorf("%d bytes of heap for %d bytes configured and %d of generations", used, bytes, generations)
	}
	runtime.KeepAlive(c)
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
