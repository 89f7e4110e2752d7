package cache_test

import (
	"fmt"
	"io"
	"net/http"
	"runtime"
	"testing"
	"time"

	"osgate/cache"
	"osgate/cache/coherence"
	"osgate/internal/redisconn/redistest"
)

// discard is a client that discards the answer.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(p []byte) (int, error) { return io.Discard.Write(p) }
func (d *discard) WriteHeader(int)             {}

func benchCache(b *testing.B) *cache.Cache {
	b.Helper()
	return newCache(b, func(o *cache.Options) { o.Bytes, o.KeyTTL = 64<<20, time.Hour; o.GrantTTL = time.Hour })
}

func BenchmarkHit(b *testing.B) {
	c := benchCache(b)
	q := ask(b, "GET", keyPath, "Accept", "application/json")
	fetch(b, c, q, 200, http.Header{"Content-Type": {"application/json"}}, string(make([]byte, 1024)))
	b.ReportAllocs()
	for b.Loop() {
		if c.Look(b.Context(), q, time.Now()).Entry == nil {
			b.Fatal("miss")
		}
	}
}

func BenchmarkHitServed(b *testing.B) {
	c := benchCache(b)
	q := ask(b, "GET", keyPath, "Accept", "application/json")
	fetch(b, c, q, 200, http.Header{"Content-Type": {"application/json"}, "Date": {"x"}}, string(make([]byte, 1024)))
	b.ReportAllocs()
	for b.Loop() {
		r := c.Look(b.Context(), q, time.Now())
		if _, err := r.Entry.Serve(&discard{http.Header{}}, q.Header, time.Now()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkHitParallel reads keys of one store from all cores: go test -cpu 1,2 shows
// how hits scale.
func BenchmarkHitParallel(b *testing.B) {
	c := benchCache(b)
	var qs []cache.Question
	for i := range 64 {
		q := ask(b, "GET", fmt.Sprintf("%s%d", keyPath, i))
		fetch(b, c, q, 200, nil, "v")
		qs = append(qs, q)
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			if c.Look(b.Context(), qs[i%len(qs)], time.Now()).Entry == nil {
				b.Error("miss")
			}
		}
	})
}

func BenchmarkMiss(b *testing.B) {
	c := benchCache(b)
	q := ask(b, "GET", keyPath)
	b.ReportAllocs()
	for b.Loop() {
		c.Look(b.Context(), q, time.Now()).Fill.Close(false)
	}
}

func BenchmarkFill(b *testing.B) {
	for _, size := range []int{1 << 10, 64 << 10} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			c := benchCache(b)
			q := ask(b, "GET", keyPath, "Cache-Control", "no-cache")
			body, header := make([]byte, size), http.Header{
				"Content-Type": {"application/json"}, "Content-Length": {"1"}, "Date": {"Tue, 01 Dec 2026 15:00:00 GMT"},
				"Strict-Transport-Security": {"max-age=31536000"}, "X-Content-Type-Options": {"nosniff"}, "X-Frame-Options": {"DENY"},
				"X-Ratelimit-Remaining": {"9"}, "X-Request-Id": {"a"},
			}
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				f := c.Look(b.Context(), q, time.Now()).Fill
				f.Response(200, header, int64(size))
				_, _ = f.Write(body)
				f.Close(true)
			}
		})
	}
}

func BenchmarkMark(b *testing.B) {
	c := benchCache(b)
	q := ask(b, "PUT", keyPath)
	b.ReportAllocs()
	for b.Loop() {
		m, err := c.Mark(b.Context(), q, time.Now())
		if err != nil {
			b.Fatal(err)
		}
		m.Done(cache.Applied)
	}
}

// BenchmarkRedis measures the round trips that a shared coherence adds to a read and to
// a write.
func BenchmarkRedis(b *testing.B) {
	coherence := onRedis(b, redistest.Start(b), coherence.RedisOptions{Settle: time.Minute})
	c := newCache(b, func(o *cache.Options) {
		o.Bytes, o.KeyTTL, o.GrantTTL, o.Coherence = 64<<20, time.Hour, time.Hour, coherence
	})
	q, put := ask(b, "GET", keyPath), ask(b, "PUT", keyPath+"2")
	fetch(b, c, q, 200, nil, "v")
	hit := func(b *testing.B) {
		b.Helper()
		if c.Look(b.Context(), q, time.Now()).Entry == nil {
			b.Error("miss")
		}
	}
	b.Run("hit", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			hit(b)
		}
	})
	for _, clients := range []int{16, 128} {
		b.Run(fmt.Sprintf("hit/clients=%d", clients), func(b *testing.B) {
			b.SetParallelism(clients / runtime.GOMAXPROCS(0))
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					hit(b)
				}
			})
		})
	}
	b.Run("mark", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			m, err := c.Mark(b.Context(), put, time.Now())
			if err != nil {
				b.Fatal(err)
			}
			m.Done(cache.Applied)
		}
	})
}
