package coherence

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-redis/redis_rate/v10"
	"github.com/redis/go-redis/v9"

	"osgate/internal/redisconn"
	"osgate/internal/redisconn/redistest"
)

// The figures in docs/adr/0017-let-generations-travel-with-the-quota.md are of
//
//	go test -run '^$' -bench Journey -benchtime 2s ./cache

// BenchmarkJourney measures the wait of a read: a decision of redis_rate and a reading
// of three generations, of a thousand clients and all slots, on a near Redis and on one
// that is 2 ms away each way, for each way to send the two commands.
func BenchmarkJourney(b *testing.B) {
	for _, delay := range []time.Duration{0, 2 * time.Millisecond} {
		for _, callers := range []int{1, 16, 128} {
			for _, way := range []struct {
				name string
				open func(b *testing.B, url string) journey
			}{
				{"apart", apart}, {"together", together}, {"unbounded", unbounded}, {"autopipeline", autoPipeline}, {"fullduplex", fullDuplex},
			} {
				b.Run(fmt.Sprintf("delay=%v/callers=%d/%s", delay, callers, way.name), func(b *testing.B) {
					s := redistest.Start(b)
					url := s.URL()
					if delay > 0 {
						w := redistest.NewWire(b, s)
						w.Lengthen(delay)
						url = w.URL()
					}
					benchmarkJourney(b, way.open(b, url), callers)
				})
			}
		}
	}
}

// journey sends both commands; n selects the client and the slot.
type journey func(ctx context.Context, n int) error

func benchmarkJourney(b *testing.B, ask journey, callers int) {
	b.Helper()
	for n := range 4 * callers { // connects, and loads the scripts
		if err := ask(b.Context(), n); err != nil {
			b.Fatal(err)
		}
	}
	took := make([]time.Duration, b.N)
	var (
		next  atomic.Int64
		group sync.WaitGroup
	)
	b.ResetTimer()
	for range callers {
		group.Go(func() {
			for n := int(next.Add(1)) - 1; n < b.N; n = int(next.Add(1)) - 1 {
				start := time.Now()
				if err := ask(b.Context(), n); err != nil {
					b.Error(err)
					return
				}
				took[n] = time.Since(start)
			}
		})
	}
	group.Wait()
	b.StopTimer()
	slices.Sort(took)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
	b.ReportMetric(float64(took[b.N/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[b.N*99/100].Microseconds()), "p99-µs")
}

// some returns the three resources of one store in the n-th slot.
func some(n int) Resources {
	on := resource(n % 1000)
	for i := range maxResources {
		on.list[i] = resource(n%1000 + i).list[0]
		on.list[i].Slot = uint8(n % Slots)
	}
	on.n = maxResources
	return on
}

// plenty is never used up.
var plenty = redis_rate.Limit{Rate: 1_000_000, Period: time.Second, Burst: 1_000_000}

func clientKey(n int) string { return strconv.Itoa(n % 1000) }

func bounded(b *testing.B, url string) *Redis {
	b.Helper()
	conn, err := redisconn.Open(redisconn.Options{URL: url, Timeout: redisTimeout})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = conn.Close() })
	c, err := NewRedis(conn, RedisOptions{Settle: time.Minute})
	if err != nil {
		b.Fatal(err)
	}
	return c
}

// apart is two round trips of a Conn.
func apart(b *testing.B, url string) journey {
	b.Helper()
	return apartOver(bounded(b, url))
}

func apartOver(c *Redis) journey {
	limiter := redis_rate.NewLimiter(c.conn.Scripter())
	return func(ctx context.Context, n int) error {
		if _, err := limiter.Allow(ctx, clientKey(n), plenty); err != nil {
			return err
		}
		_, err := c.Read(ctx, some(n))
		return err
	}
}

// together is one round trip of a Conn, with a rider.
func together(b *testing.B, url string) journey {
	b.Helper()
	c := bounded(b, url)
	limiter := redis_rate.NewLimiter(c.conn.Scripter())
	return func(ctx context.Context, n int) error {
		riding, e := c.StartRead(ctx, some(n))
		if _, err := limiter.Allow(riding, clientKey(n), plenty); err != nil {
			return err
		}
		_, err := e.Read(ctx)
		return err
	}
}

// bare sends the two commands over go-redis without the time limit and the breaker of a
// Conn. Send sends both and returns when both are answered.
func bare(b *testing.B, url string, client *redis.Client, send func(ctx context.Context, cmds ...redis.Cmder) error) journey {
	b.Helper()
	b.Cleanup(func() { _ = client.Close() })
	c := bounded(b, url)
	if err := apartOver(c)(b.Context(), 0); err != nil { // loads the scripts
		b.Fatal(err)
	}
	return func(ctx context.Context, n int) error {
		calls := c.calls(some(n), c.scripts.read)
		read := evalSha(ctx, calls[0].script.Hash(), calls[0].keys, calls[0].args)
		limiter := redis_rate.NewLimiter(beside{client, func(quota *redis.Cmd) { _ = send(ctx, quota, read) }})
		if _, err := limiter.Allow(ctx, clientKey(n), plenty); err != nil {
			return err
		}
		_, err := (&redisPendingRead{coherence: c}).parse(calls, []*redis.Cmd{read}, nil)
		return err
	}
}

// beside is a client that sends another command together with each script.
type beside struct {
	*redis.Client
	send func(quota *redis.Cmd)
}

func (s beside) EvalSha(ctx context.Context, sha1 string, keys []string, args ...any) *redis.Cmd {
	quota := evalSha(ctx, sha1, keys, args)
	s.send(quota)
	return quota
}

func evalSha(ctx context.Context, sha1 string, keys []string, args []any) *redis.Cmd {
	all := make([]any, 0, 3+len(keys)+len(args))
	all = append(all, "evalsha", sha1, len(keys))
	for _, key := range keys {
		all = append(all, key)
	}
	return redis.NewCmd(ctx, append(all, args...)...)
}

// plainClient has the pool that a Conn has.
func plainClient(b *testing.B, url string, pipelinePool int) *redis.Client {
	b.Helper()
	o, err := redis.ParseURL(url)
	if err != nil {
		b.Fatal(err)
	}
	o.PoolSize, o.PipelinePoolSize, o.Protocol, o.ContextTimeoutEnabled = 128, pipelinePool, 2, true
	return redis.NewClient(o)
}

// unbounded is one pipeline on the pool.
func unbounded(b *testing.B, url string) journey {
	b.Helper()
	client := plainClient(b, url, -1)
	return bare(b, url, client, func(ctx context.Context, cmds ...redis.Cmder) error { return exec(ctx, client.Pipeline(), cmds) })
}

// autoPipeline is go-redis's, which batches the commands of all callers; both commands
// are in one batch.
func autoPipeline(b *testing.B, url string) journey {
	b.Helper()
	client := plainClient(b, url, 0)
	auto, err := client.AsyncAutoPipeline()
	if err != nil {
		b.Fatal(err)
	}
	return bare(b, url, client, func(ctx context.Context, cmds ...redis.Cmder) error {
		for _, cmd := range cmds {
			_ = auto.Process(ctx, cmd)
		}
		for _, cmd := range cmds { // waits
			if err := cmd.Err(); err != nil {
				return err
			}
		}
		return nil
	})
}

// fullDuplex is the same on one connection, on which no command waits for an earlier
// one.
func fullDuplex(b *testing.B, url string) journey {
	b.Helper()
	client := plainClient(b, url, 0)
	auto, err := client.AutoPipelineWithOptions(&redis.AutoPipelineOptions{FullDuplex: true})
	if err != nil {
		b.Fatal(err)
	}
	return bare(b, url, client, func(ctx context.Context, cmds ...redis.Cmder) error { return exec(ctx, auto.Pipeline(), cmds) })
}

func exec(ctx context.Context, p redis.Pipeliner, cmds []redis.Cmder) error {
	if err := p.BatchProcess(ctx, cmds...); err != nil {
		return err
	}
	_, err := p.Exec(ctx)
	return err
}
