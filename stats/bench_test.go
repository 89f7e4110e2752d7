package stats_test

import (
	"fmt"
	"testing"
	"time"

	"osgate/record"
	"osgate/stats"
)

// BenchmarkKeep measures the cost of counting an exchange that has just ended, and so
// is in the processor's cache: for one store, and for 10,000 in turn.
func BenchmarkKeep(b *testing.B) {
	exchange := with(get(time.Now()), func(x *record.Exchange) {
		x.Organization, x.Environment = "4f2a6c1e-6f0e-4d1c-9d0a-6d7f1f6c2b11", "0b9d7c52-1a55-43a7-8e55-5a4f0f0f5d10"
	})
	for _, stores := range []int{1, 10_000} {
		c, names := memory(b), make([]string, stores)
		for i := range names {
			names[i] = fmt.Sprintf("APP_some-application-%d__defaultPersistentObjectStore", i)
			c.Keep(with(exchange, func(x *record.Exchange) { x.Store = names[i] }))
		}
		b.Run(fmt.Sprintf("stores=%d", stores), func(b *testing.B) {
			x := *exchange
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				x.Store = names[i%stores]
				c.Keep(&x)
			}
		})
		b.Run(fmt.Sprintf("stores=%d/parallel", stores), func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				x := *exchange
				for i := 0; pb.Next(); i++ {
					x.Store = names[i%stores]
					c.Keep(&x)
				}
			})
		})
	}
}

// benchCases contain each store with 10 and with 10,000 object stores.
func benchCases() []benchCase {
	var all []benchCase
	for _, kind := range kinds {
		for _, stores := range []int{10, 10_000} {
			all = append(all, benchCase{name: fmt.Sprintf("%s/stores=%d", kind.name, stores), stores: stores, open: kind.open})
		}
	}
	return all
}

type benchCase struct {
	name   string
	stores int
	open   func(testing.TB) stats.Store
}

// counter returns a counter with counts for all its stores in three of the 24 hours
// before now.
func (bc benchCase) counter(b *testing.B) (c *stats.Counter, now time.Time) {
	b.Helper()
	now = stats.Hour.Start(time.Now())
	c = stats.New(stats.Options{Store: bc.open(b)})
	for hour := range 3 {
		fill(b, c, bc.stores, now.Add(-time.Duration(hour*8)*time.Hour))
	}
	return c, now
}

func fill(b *testing.B, c *stats.Counter, stores int, at time.Time) {
	b.Helper()
	for i := range stores {
		c.Keep(with(get(at), func(x *record.Exchange) {
			x.Store = fmt.Sprintf("APP_some-application-%d__defaultPersistentObjectStore", i)
		}))
	}
	flush(b, c)
}

func lastDay(now time.Time) string {
	return "?startDate=" + now.Add(-24*time.Hour).Format(time.RFC3339) + "&endDate=" + now.Format(time.RFC3339) + "&period=1hour"
}

// BenchmarkCounts queries the 25 hours of an organization.
func BenchmarkCounts(b *testing.B) {
	for _, bc := range benchCases() {
		b.Run(bc.name, func(b *testing.B) {
			c, now := bc.counter(b)
			b.ReportAllocs()
			q := question(b, "us", base+"org"+lastDay(now))
			for b.Loop() {
				if _, err := c.Answer(b.Context(), q, now); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkNames queries the stores that were counted in the last 25 hours.
func BenchmarkNames(b *testing.B) {
	for _, bc := range benchCases() {
		b.Run(bc.name, func(b *testing.B) {
			c, now := bc.counter(b)
			b.ReportAllocs()
			q := question(b, "us", base+"org/environments/env/regions/us-east-1/stores"+lastDay(now))
			for b.Loop() {
				if _, err := c.Answer(b.Context(), q, now); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkFlush writes the counts of one second: one for each store, all of which have
// counts in this hour already.
func BenchmarkFlush(b *testing.B) {
	for _, bc := range benchCases() {
		b.Run(bc.name, func(b *testing.B) {
			c, now := bc.counter(b)
			b.ReportAllocs()
			for b.Loop() {
				fill(b, c, bc.stores, now)
			}
		})
	}
}
