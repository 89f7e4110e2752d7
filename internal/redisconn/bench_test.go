package redisconn

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// instant is a hook that answers every pipeline without Redis.
type instant struct{}

func (instant) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (instant) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (instant) ProcessPipelineHook(redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(context.Context, []redis.Cmder) error { return nil }
}

// emptyRider is a rider without commands.
type emptyRider struct{}

func (emptyRider) Queue(context.Context, redis.Pipeliner) {}
func (emptyRider) Done(error)                             {}

// BenchmarkDo measures what a Conn adds to a round trip: breaker, worker and limit, and
// a rider.
//
//	go test -run '^$' -bench Do -benchtime 2s ./internal/redisconn
func BenchmarkDo(b *testing.B) {
	c, err := Open(Options{URL: "redis://127.0.0.1:1", Timeout: time.Minute})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	c.client.AddHook(instant{})
	for name, ctx := range map[string]context.Context{"alone": b.Context(), "rider": c.WithRider(b.Context(), emptyRider{})} {
		do := func() error {
			return c.Do(ctx, func(ctx context.Context, p redis.Pipeliner) error {
				p.Get(ctx, "k")
				return nil
			})
		}
		for _, callers := range []int{1, 16} {
			b.Run(fmt.Sprintf("%s/callers=%d", name, callers), func(b *testing.B) {
				b.ReportAllocs()
				if callers == 1 {
					for b.Loop() {
						if err := do(); err != nil {
							b.Fatal(err)
						}
					}
					return
				}
				b.SetParallelism(callers)
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						if err := do(); err != nil {
							b.Error(err)
						}
					}
				})
			})
		}
	}
	b.Run("go-redis", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			p := c.client.Pipeline()
			p.Get(b.Context(), "k")
			if _, err := p.Exec(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	})
}
