package cache_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"osgate/cache"
	"osgate/internal/redisconn/redistest"
	"osgate/internal/seal"
)

// The figures in docs/adr/0019-share-bodies-sealed.md are of
//
//	go test -run '^$' -bench 'Shared|Seal' ./cache

// BenchmarkShared measures a hit whose body is in Redis, generations and grant
// included, and, for comparison, a hit in process.
func BenchmarkShared(b *testing.B) {
	for _, size := range []int{1 << 10, 100 << 10} {
		s := redistest.Start(b)
		long := func(o *cache.Options) { o.KeyTTL, o.GrantTTL, o.EntryBytes = time.Hour, time.Hour, 1<<20 }
		a := newReplica(b, s, long)
		q := ask(b, "GET", keyPath)
		a.share(b, s, q, http.Header{"Content-Type": {"application/json"}}, strings.Repeat("x", size))
		none := newReplica(b, s, long, func(o *cache.Options) { o.Bytes, o.EntryBytes = 1<<20, 1<<20 })
		empty := newReplica(b, s, long, func(o *cache.Options) { o.Bytes, o.EntryBytes = int64(size), int64(size) })
		for name, r := range map[string]*replica{"redis": empty, "process": none} {
			b.Run(fmt.Sprintf("%s/%dKiB", name, size>>10), func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(int64(size))
				for b.Loop() {
					if r.Look(b.Context(), q, time.Now()).Entry == nil {
						b.Fatal("miss")
					}
				}
			})
		}
		if n := none.Stats(); n.SharedHits > 2 {
			b.Fatalf("%d hits were of Redis", n.SharedHits)
		}
	}
}

func BenchmarkSeal(b *testing.B) {
	sealer, err := seal.New(sharedSecret, "cache body")
	if err != nil {
		b.Fatal(err)
	}
	for _, size := range []int{1 << 10, 100 << 10} {
		text := make([]byte, size)
		sealed := sealer.Seal("name", text)
		b.Run(fmt.Sprintf("seal/%dKiB", size>>10), func(b *testing.B) {
			b.SetBytes(int64(size))
			for b.Loop() {
				sealer.Seal("name", text)
			}
		})
		b.Run(fmt.Sprintf("open/%dKiB", size>>10), func(b *testing.B) {
			b.SetBytes(int64(size))
			for b.Loop() {
				if _, err := sealer.Open("name", sealed); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
