package cache_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"osgate/cache"
	"osgate/cache/coherence"
	"osgate/internal/redisconn"
	"osgate/internal/redisconn/redistest"
)

const (
	historyKeys    = 8
	historyWriters = 2 // of each gateway
	historyReaders = 3
	historyLease   = time.Second
)

// history runs clients of one or more gateways in front of registers whose values only
// grow. So only the order decides which values a read may see: a read that begins after
// a value was answered, to a writer or to another reader, must see that value or a
// later one.
type history struct {
	*testing.T
	registers [historyKeys]atomic.Int64
	answered  [historyKeys]atomic.Int64
	hits      atomic.Int64
	refused   atomic.Int64                     // writes
	journeys  atomic.Int64                     // reads whose generations were sent along with another command
	conns     map[*cache.Cache]*redisconn.Conn // on which they are sent along
	writer    *cache.Cache                     // the only gateway for writes; nil: all gateways
	ended     chan struct{}
	late      sync.WaitGroup // writes without an answer
}

func TestReadersSeeEveryWriteThatWasAnswered(t *testing.T) {
	t.Parallel()
	h := &history{T: t, ended: make(chan struct{})}
	c := newCache(t, func(o *cache.Options) { o.Bytes, o.WriteLease = 64<<10, historyLease })
	h.run(func() {}, func() bool { return true }, c)
}

func TestReadersOfTwoGatewaysSeeEveryWriteThatWasAnswered(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	h, caches := twoGateways(t, s, true)
	h.run(s.Flush, func() bool { return h.journeys.Load() >= 100 }, caches...)
}

// twoGateways is a history of two gateways on one Redis.
func twoGateways(t *testing.T, s place, strict bool) (h *history, caches []*cache.Cache) {
	t.Helper()
	h = &history{T: t, ended: make(chan struct{}), conns: map[*cache.Cache]*redisconn.Conn{}}
	for range 2 {
		conn := dial(t, s)
		coherence := onConn(t, conn, coherence.RedisOptions{Settle: historyLease, Strict: strict})
		c := newCache(t, func(o *cache.Options) { o.WriteLease, o.Coherence = historyLease, coherence })
		caches, h.conns[c] = append(caches, c), conn
	}
	return h, caches
}

func dial(t testing.TB, s place) *redisconn.Conn {
	t.Helper()
	conn, err := redisconn.Open(redisconn.Options{URL: s.URL(), Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// onRedis returns the coherence of a gateway that runs until the test ends.
func onRedis(t testing.TB, s place, o coherence.RedisOptions) *coherence.Redis {
	t.Helper()
	return onConn(t, dial(t, s), o)
}

// onConn is onRedis over a connection, which it closes at the end.
func onConn(t testing.TB, conn *redisconn.Conn, o coherence.RedisOptions) *coherence.Redis {
	t.Helper()
	c, err := coherence.NewRedis(conn, o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
		_ = conn.Close()
	})
	return c
}

// run runs clients against the gateways for three leases; fault runs in the middle. It
// continues until there were a hundred hits and enough returns true, so that a slow
// machine proves as much as a fast one.
func (h *history) run(fault func(), enough func() bool, caches ...*cache.Cache) {
	h.Helper()
	var clients sync.WaitGroup
	for g, c := range caches {
		for i := range historyWriters + historyReaders {
			random := rand.New(rand.NewPCG(uint64(g), uint64(i)))
			work := h.read
			if i < historyWriters && (h.writer == nil || h.writer == c) {
				work = h.write
			}
			clients.Go(func() {
				for !h.over() && !h.Failed() {
					work(c, random)
				}
			})
		}
	}
	<-time.After(3 * historyLease / 2) // a new Redis settles first
	fault()
	<-time.After(3 * historyLease / 2)
	proved := func() bool { return h.hits.Load() >= 100 && enough() }
	for deadline := time.Now().Add(time.Minute); !proved() && !h.Failed() && time.Now().Before(deadline); {
		<-time.After(10 * time.Millisecond)
	}
	close(h.ended)
	clients.Wait()
	h.late.Wait()
	if !proved() {
		h.Errorf("%d hits, %d journeys: the test proves little", h.hits.Load(), h.journeys.Load())
	}
	for _, c := range caches {
		h.Logf("%+v", c.Stats())
	}
}

func (h *history) over() bool {
	select {
	case <-h.ended:
		return true
	default:
		return false
	}
}

// write is a PUT. One of a hundred gets no answer, and takes effect later within its
// lease.
func (h *history) write(c *cache.Cache, random *rand.Rand) {
	k := random.IntN(historyKeys)
	m, err := c.Mark(h.Context(), ask(h, "PUT", fmt.Sprint(keyPath, k)), time.Now())
	if err != nil {
		h.refused.Add(1)
		return
	}
	if random.IntN(100) == 0 {
		m.Done(cache.Unknown)
		h.late.Go(func() {
			<-time.After(10 * time.Millisecond)
			if time.Until(m.Deadline()) > historyLease/2 { // far from its end, so that a busy machine does not matter
				h.registers[k].Add(1)
			}
		})
		return
	}
	if time.Until(m.Deadline()) < historyLease/2 { // delayed for so long that it is not sent
		m.Done(cache.Applied)
		return
	}
	value := h.registers[k].Add(1)
	if random.IntN(2) == 0 { // before the answer, or after
		m.Done(cache.Applied)
	} else {
		defer m.Done(cache.Applied)
	}
	raise(&h.answered[k], value)
	<-time.After(time.Duration(random.IntN(5)) * time.Millisecond)
}

// read is a GET.
func (h *history) read(c *cache.Cache, random *rand.Rand) {
	k := random.IntN(historyKeys)
	q := ask(h, "GET", fmt.Sprint(keyPath, k))
	if random.IntN(8) == 0 {
		q.Header.Set("Cache-Control", "no-cache")
	}
	floor := h.answered[k].Load()
	value, hit := h.through(c, q, &h.registers[k])
	if value < floor {
		h.Errorf("key %d: read %d (hit is %t) when %d had been answered", k, value, hit, floor)
	}
	raise(&h.answered[k], value)
	if hit {
		h.hits.Add(1)
	}
}

// through reads through the cache.
func (h *history) through(c *cache.Cache, q cache.Question, register *atomic.Int64) (value int64, hit bool) {
	now := time.Now()
	r := h.look(c, q)
	if r.Entry == nil {
		value = register.Load()
		receive(c, q, r, answer{200, nil, strconv.FormatInt(value, 10)}, now)
		return value, false
	}
	value, err := strconv.ParseInt(string(r.Entry.Body), 10, 64)
	if err != nil {
		h.Errorf("got a body of %q", r.Entry.Body)
	}
	return value, true
}

// look looks at once, or sends the read along with another command and looks later, as
// after a wait for the quota.
func (h *history) look(c *cache.Cache, q cache.Question) cache.Result {
	conn := h.conns[c]
	if conn == nil || rand.IntN(2) == 0 {
		return c.Look(h.Context(), q, time.Now())
	}
	s := c.Prepare(q)
	err := conn.Do(s.WithRead(h.Context()), func(ctx context.Context, p redis.Pipeliner) error {
		p.Get(ctx, "quota")
		return nil
	})
	if err == nil {
		h.journeys.Add(1)
	}
	if rand.IntN(4) == 0 {
		<-time.After(time.Duration(rand.IntN(5)) * time.Millisecond)
	}
	return s.Look(h.Context(), time.Now())
}

func raise(to *atomic.Int64, value int64) {
	for {
		old := to.Load()
		if old >= value || to.CompareAndSwap(old, value) {
			return
		}
	}
}
