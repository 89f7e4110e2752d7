package redisconn_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"osgate/internal/redisconn"
	"osgate/internal/redisconn/redistest"
)

// load is a number of goroutines that send requests. Each request runs a script, like a
// limiter, on a key of a list, with a rider that writes another key.
type load struct {
	t       *testing.T
	conn    *redisconn.Conn
	keys    []string
	ended   chan struct{}
	clients sync.WaitGroup

	asked, down, ridersDown, odd atomic.Int64
	lastOdd                      atomic.Pointer[error]
	longest                      atomic.Int64
}

// loaders is how many requests a load has under way.
const loaders = 4

func startLoad(t *testing.T, c *redisconn.Conn, keys ...string) *load {
	t.Helper()
	l := &load{t: t, conn: c, keys: keys, ended: make(chan struct{})}
	script := redis.NewScript(`return redis.call("INCR", KEYS[1])`)
	for i := range loaders {
		l.clients.Go(func() {
			pause := time.NewTicker(2 * time.Millisecond)
			defer pause.Stop()
			for n := i; ; n++ {
				l.request(script, keys[n%len(keys)], keys[(n+1)%len(keys)])
				select {
				case <-l.ended:
					return
				case <-pause.C:
				}
			}
		})
	}
	return l
}

func (l *load) request(script *redis.Script, key, rides string) {
	r := &rider{}
	r.ask = func(ctx context.Context, p redis.Pipeliner) { r.answer = p.Set(ctx, rides+"rider", "v", 0) }
	start := time.Now()
	err := script.Run(l.conn.WithRider(l.t.Context(), r), l.conn.Scripter(), []string{key}).Err()
	for took := int64(time.Since(start)); ; {
		longest := l.longest.Load()
		if took <= longest || l.longest.CompareAndSwap(longest, took) {
			break
		}
	}
	l.asked.Add(1)
	switch {
	case errors.Is(err, redisconn.ErrDown):
		l.down.Add(1)
	case err != nil:
		l.odd.Add(1)
		l.lastOdd.Store(&err)
	}
	if errors.Is(r.told[len(r.told)-1], redisconn.ErrDown) {
		l.ridersDown.Add(1)
	}
}

// await waits until more calls have been answered, riders included.
func (l *load) await(more int64) {
	l.t.Helper()
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	answered := func() int64 { return l.asked.Load() - l.down.Load() - l.ridersDown.Load() }
	want := answered() + more
	for end := time.Now().Add(patience); answered() < want; <-poll.C {
		if time.Now().After(end) {
			l.t.Fatalf("fewer than %d calls were answered in %v", more, patience)
		}
	}
}

// stop ends the load and checks that every failure was ErrDown, which holds in any
// outage.
func (l *load) stop() {
	l.t.Helper()
	close(l.ended)
	l.clients.Wait()
	if n := l.odd.Load(); n > 0 {
		l.t.Errorf("%d calls failed otherwise than with ErrDown: %v", n, *l.lastOdd.Load())
	}
	l.t.Logf("%d calls, %d without Redis, %d riders without it, longest %v", l.asked.Load(), l.down.Load(), l.ridersDown.Load(), time.Duration(l.longest.Load()))
}

// wantChanges checks that the state changed this often, each time to another value.
func wantChanges(t *testing.T, changes <-chan redisconn.State, want ...bool) {
	t.Helper()
	for i, ok := range want {
		select {
		case change := <-changes:
			if change.OK != ok {
				t.Errorf("change %d is to %+v, want OK %v", i, change, ok)
			}
		case <-time.After(patience):
			t.Fatalf("change %d, to OK %v, did not come within %v", i, ok, patience)
		}
	}
}

func wantNoChange(t *testing.T, changes <-chan redisconn.State) {
	t.Helper()
	if len(changes) > 0 {
		t.Errorf("the state changed to %+v", <-changes)
	}
}

func TestSlowRedisIsAnOutage(t *testing.T) {
	t.Parallel()
	w := redistest.NewWire(t, redistest.Start(t))
	c, changes := openHasty(t, w.URL())
	if err := set(c); err != nil {
		t.Fatal(err)
	}
	w.Lengthen(timeout + scheduling)
	change, held := askUntil(t, func() error { return set(c) }, changes)
	if change.OK || held > timeout+scheduling {
		t.Errorf("change to %+v, each call took %v", change, held)
	}
	w.Lengthen(0)
	if change, _ = askUntil(t, func() error { return set(c) }, changes); !change.OK {
		t.Errorf("change to %+v, want one to OK", change)
	}
	wantNoChange(t, changes)
}

func TestForgottenDataAndScriptsAreNoOutage(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	c, changes := open(t, s.URL())
	l := startLoad(t, c, "a", "b")
	for range 10 {
		s.Flush()
		s.Do("SCRIPT", "FLUSH")
		l.await(10)
	}
	l.stop()
	if l.down.Load()+l.ridersDown.Load() > 0 {
		t.Error("an empty Redis counted as down")
	}
	wantNoChange(t, changes)
}

func TestRestartUnderLoadIsOneOutage(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	c, changes := open(t, s.URL())
	l := startLoad(t, c, "a", "b")
	l.await(100)
	s.Stop()
	wantChanges(t, changes, false)
	s.Restart()
	wantChanges(t, changes, true)
	l.await(100)
	l.stop()
	wantNoChange(t, changes)
}

func TestSlotThatMovesIsNoOutage(t *testing.T) {
	t.Parallel()
	s := redistest.StartCluster(t, "--cluster-node-timeout", "60000") // no node is lost
	t.Run("under load", func(t *testing.T) { slotMovesUnderLoad(t, s) })
	t.Run("with keys torn apart", func(t *testing.T) { keysAreTornApart(t, s) })
}

func slotMovesUnderLoad(t *testing.T, s *redistest.Cluster) {
	t.Helper()
	c, changes := open(t, s.URL())
	slot := s.Slot("{moved}")
	to := (s.Owner(slot) + 1) % redistest.Nodes
	for i := range 300 {
		s.Node(s.Owner(slot)).Do("SET", fmt.Sprint("{moved}", i), "v")
	}
	l := startLoad(t, c, "{moved}a", "{moved}b", "other", "another")
	l.await(100)
	for range 2 { // there and back: keys that were MOVED are MOVED again
		s.BeginMove(slot, to)
		l.await(100)
		s.EndMove(slot, to)
		l.await(100)
		to = (to + redistest.Nodes - 1) % redistest.Nodes
	}
	l.stop()
	if l.down.Load()+l.ridersDown.Load() > 0 {
		t.Errorf("%d calls and %d riders failed", l.down.Load(), l.ridersDown.Load())
	}
	wantNoChange(t, changes)
}

// keysAreTornApart: while a slot moves, a command for a key that is still there and one
// that is not is answered TRYAGAIN, which concerns only those keys. Another command in
// the same pipeline runs once, on a key that is still there or already on the other
// node.
func keysAreTornApart(t *testing.T, s *redistest.Cluster) {
	t.Helper()
	c, changes := open(t, s.URL())
	slot := s.Slot("{torn}")
	to := (s.Owner(slot) + 1) % redistest.Nodes
	for _, key := range []string{"{torn}a", "{torn}b"} {
		s.Node(s.Owner(slot)).Do("SET", key, "0")
	}
	s.OpenSlot(slot, to)
	s.MoveKeys(slot, to, "{torn}b")
	for _, counter := range []string{"{torn}a", "{torn}b"} {
		for n := range int64(10) {
			var torn, beside *redis.IntCmd
			err := c.Do(t.Context(), func(ctx context.Context, p redis.Pipeliner) error {
				torn, beside = p.Exists(ctx, "{torn}a", "{torn}nothing"), p.Incr(ctx, counter)
				return nil
			})
			if err != nil || !redis.IsTryAgainError(torn.Err()) || beside.Val() != n+1 {
				t.Fatalf("Do: %v, its commands: %v and %v; want TRYAGAIN of the first, and %d", err, torn, beside, n+1)
			}
		}
	}
	wantNoChange(t, changes)
}

func TestLostNodeOfAClusterIsAnOutageOfItsOwnKeysOnly(t *testing.T) {
	t.Parallel()
	s := redistest.StartCluster(t, "--cluster-require-full-coverage", "no")
	c, changes := open(t, s.URL())
	mine, lost := keyOn(s, 0), keyOn(s, 1)
	r := &rider{key: lost}
	pay := func() error {
		return c.Do(c.WithRider(t.Context(), r), func(ctx context.Context, p redis.Pipeliner) error {
			p.Incr(ctx, mine)
			return nil
		})
	}
	if err := pay(); err != nil || r.last(t) != nil {
		t.Fatalf("before: %v, the rider was told %v", err, r.last(t))
	}
	s.Stop(1)
	for range 20 {
		if err := pay(); err != nil || !errors.Is(r.last(t), redisconn.ErrDown) {
			t.Fatalf("Do: %v, the rider was told %v; want nil and ErrDown", err, r.last(t))
		}
	}
	wantNoChange(t, changes)
	s.Node(1).Restart()
	s.Await()
	back := time.Now()
	for {
		if err := pay(); err != nil {
			t.Fatalf("Do: %v", err)
		}
		if r.last(t) == nil {
			break
		}
		if time.Since(back) > patience {
			t.Fatalf("the rider is still told %v, %v after the node's return", r.last(t), patience)
		}
	}
}

func TestClusterThatIsNotWholeIsAnOutageUntilItIs(t *testing.T) {
	t.Parallel()
	s := redistest.StartCluster(t, "--cluster-node-timeout", "500")
	c, changes := open(t, s.URL())
	l := startLoad(t, c, keyOn(s, 0), keyOn(s, 1), keyOn(s, 2))
	l.await(100)
	s.Stop(1)
	for end := time.Now().Add(patience); c.State().OK || !strings.Contains(s.Node(0).Do("CLUSTER", "INFO"), "cluster_state:fail"); {
		if time.Now().After(end) {
			t.Fatalf("the cluster is still taken for whole: %+v", c.State())
		}
		<-time.After(5 * time.Millisecond)
	}
	s.Node(1).Restart()
	s.Await()
	l.await(100)
	l.stop()
	t.Logf("the state changed %d times", len(changes))
}

func TestFailoverIsOneOutageThatEndsWithThePromotion(t *testing.T) {
	t.Parallel()
	s := redistest.StartSentinels(t)
	c, changes := open(t, s.URL())
	l := startLoad(t, c, "a", "b")
	l.await(100)
	s.Failover()
	wantChanges(t, changes, false, true)
	l.await(100)
	l.stop()
	wantNoChange(t, changes)
}

// keyOn returns a key that is on a node.
func keyOn(s *redistest.Cluster, node int) string {
	key := "k"
	for s.Owner(s.Slot(key)) != node {
		key += "k"
	}
	return key
}
