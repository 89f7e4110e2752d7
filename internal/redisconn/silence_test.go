package redisconn

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"osgate/internal/breaker"
)

// mute is a client of a Redis that does not answer while it is silent, and answers at
// once otherwise. The client library itself never gives up.
type mute struct {
	redis.UniversalClient

	mu     sync.Mutex
	silent chan struct{} // closed when the silence ends; nil: no silence
}

func (m *mute) Pipeline() redis.Pipeliner { return &mutePipeline{mute: m} }

// hush begins a silence and returns the function that ends it.
func (m *mute) hush() (end func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	silent := make(chan struct{})
	m.silent = silent
	return sync.OnceFunc(func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.silent = nil
		close(silent)
	})
}

type mutePipeline struct {
	redis.Pipeliner

	mute *mute
	cmds []redis.Cmder
}

func (p *mutePipeline) Set(ctx context.Context, key string, value any, _ time.Duration) *redis.StatusCmd {
	cmd := redis.NewStatusCmd(ctx, "set", key, value)
	p.cmds = append(p.cmds, cmd)
	return cmd
}

func (p *mutePipeline) Len() int            { return len(p.cmds) }
func (p *mutePipeline) Cmds() []redis.Cmder { return p.cmds }

func (p *mutePipeline) Exec(context.Context) ([]redis.Cmder, error) {
	p.mute.mu.Lock()
	silent := p.mute.silent
	p.mute.mu.Unlock()
	if silent != nil {
		<-silent
	}
	return p.cmds, nil
}

// muted returns a Conn with the default options and this number of workers over a mute
// client.
func muted(workers int) (*Conn, *mute) {
	o, m := Options{}.withDefaults(), &mute{}
	return &Conn{
		client: m, timeout: o.Timeout, prefix: o.Prefix, redact: func(s string) string { return s },
		trips: make(chan *trip), workers: make(chan struct{}, workers), quit: make(chan struct{}),
		breaker: breaker.New(breaker.Options{TripAfter: tripAfter, TripOver: tripOver, MinDelay: o.Timeout, MaxDelay: maxDelay, Calm: calm}),
		state:   State{OK: true},
	}, m
}

// ask makes a round trip and returns how long that took.
func (m *mute) ask(t *testing.T, c *Conn) (took time.Duration, err error) {
	t.Helper()
	start := time.Now()
	err = c.Do(t.Context(), func(ctx context.Context, p redis.Pipeliner) error {
		p.Set(ctx, c.Key("test", "k"), "", 0)
		return nil
	})
	return time.Since(start), err
}

// TestASilentRedisHoldsNobodyLongerThanTheDefaultTimeout, to the nanosecond: 50 ms for a
// second, in which no answer is in time, and then no time at all.
func TestASilentRedisHoldsNobodyLongerThanTheDefaultTimeout(t *testing.T) {
	const timeout = 50 * time.Millisecond
	for name, workers := range map[string]int{"enough workers": 1000, "none is free": 1} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, m := muted(workers)
				defer close(c.quit)
				if took, err := m.ask(t, c); took != 0 || err != nil {
					t.Fatalf("before: %v after %v", err, took)
				}
				end, start := m.hush(), time.Now()
				defer end()
				for c.State().OK {
					if took, err := m.ask(t, c); took != timeout || !errors.Is(err, ErrDown) {
						t.Fatalf("%v into the silence: %v after %v, want ErrDown after %v", time.Since(start), err, took, timeout)
					}
				}
				if lasted := time.Since(start); lasted != timeout+time.Second {
					t.Errorf("Redis counts as down after %v, want a second after the first answer was missing", lasted)
				}
				for range 1000 {
					if took, err := m.ask(t, c); took != 0 || !errors.Is(err, ErrDown) {
						t.Fatalf("while it is down: %v after %v, want ErrDown at once", err, took)
					}
				}
			})
		})
	}
}

// TestRedisIsAskedAgainHalfASecondAfterItsReturn: that is the longest delay between two
// probes, and a probe that is not answered ends by its timeout.
func TestRedisIsAskedAgainHalfASecondAfterItsReturn(t *testing.T) {
	for _, silence := range []time.Duration{2 * time.Second, 5 * time.Second, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			c, m := muted(1000)
			defer close(c.quit)
			end := m.hush()
			for start := time.Now(); time.Since(start) < silence; <-time.After(10 * time.Millisecond) {
				_, _ = m.ask(t, c)
			}
			end()
			back := time.Now()
			for {
				if _, err := m.ask(t, c); err == nil {
					break
				}
				<-time.After(10 * time.Millisecond)
			}
			if took := time.Since(back); took > 520*time.Millisecond {
				t.Errorf("after %v of silence Redis is asked again only %v after its return", silence, took)
			}
			c.probes.Wait()
		})
	}
}
