package redisconn_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"osgate/internal/redisconn"
	"osgate/internal/redisconn/redistest"
)

// rider counts the calls of its methods. It adds a SET of its key, or the commands of
// ask.
type rider struct {
	key    string
	ask    func(ctx context.Context, p redis.Pipeliner)
	thrown any // the value of Done's panic

	queued int
	told   []error
	answer *redis.StatusCmd
}

func (r *rider) Queue(ctx context.Context, p redis.Pipeliner) {
	r.queued++
	if r.ask != nil {
		r.ask(ctx, p)
		return
	}
	r.answer = p.Set(ctx, r.key, "v", 0)
}

func (r *rider) Done(err error) {
	r.told = append(r.told, err)
	if r.thrown != nil {
		panic(r.thrown)
	}
}

// last returns the error that Done received last.
func (r *rider) last(t *testing.T) error {
	t.Helper()
	if len(r.told) == 0 {
		t.Fatal("the rider was told nothing")
	}
	return r.told[len(r.told)-1]
}

func TestRiderTravelsInItsCarriersRoundTrip(t *testing.T) {
	w := redistest.NewWire(t, redistest.Start(t))
	c, _ := open(t, w.URL())
	if err := set(c); err != nil { // opens the connection
		t.Fatal(err)
	}
	r := &rider{key: "rider"}
	before := w.Trips()
	var own *redis.StringCmd
	err := c.Do(c.WithRider(t.Context(), r), func(ctx context.Context, p redis.Pipeliner) error {
		own = p.Get(ctx, c.Key("test", "k"))
		return nil
	})
	if err != nil || own.Val() != "v" {
		t.Errorf("Do: %v, its command: %v", err, own)
	}
	if r.last(t) != nil || r.answer.Val() != "OK" {
		t.Errorf("the rider was told %v and answered %v", r.last(t), r.answer)
	}
	if got := w.Trips() - before; got != 1 {
		t.Errorf("%d round trips, want 1", got)
	}
}

func TestRiderRidesEveryTripOfItsContextAndNoOther(t *testing.T) {
	s := redistest.Start(t)
	c, _ := open(t, s.URL())
	other, _ := open(t, s.URL())
	r := &rider{key: "rider"}
	ctx := c.WithRider(t.Context(), r)
	script := redis.NewScript(`return redis.call("INCR", KEYS[1])`)
	if err := script.Run(ctx, c.Scripter(), []string{"n"}).Err(); err != nil {
		t.Fatal(err)
	}
	if r.queued != 2 || len(r.told) != 2 || r.last(t) != nil {
		t.Errorf("with a script that Redis does not know: %d trips, told %v; want 2 that went well", r.queued, r.told)
	}
	_ = get(ctx, other)
	_ = get(t.Context(), c)
	_ = c.Ping(ctx)
	if r.queued != 2 {
		t.Errorf("it traveled %d times without being asked", r.queued-2)
	}
	second := &rider{key: "rider"}
	_ = get(c.WithRider(ctx, second), c)
	if r.queued != 2 || second.queued != 1 {
		t.Errorf("of two riders of a context %d and %d traveled, want the last", r.queued-2, second.queued)
	}
}

func TestRiderChangesNothingForItsCarrier(t *testing.T) {
	for name, r := range map[string]*rider{
		"outage": {key: "rider"},
		"panic before": {ask: func(ctx context.Context, p redis.Pipeliner) {
			p.Get(ctx, "rider")
			panic("thrown")
		}},
		"panic after": {thrown: "thrown", ask: func(context.Context, redis.Pipeliner) {}},
	} {
		t.Run(name, func(t *testing.T) {
			s := redistest.Start(t)
			c, changes := open(t, s.URL())
			s.Do("SET", "k", "v")
			s.Do("REPLICAOF", "127.0.0.1", "1") // GET is answered, SET is not
			for range 10 {
				var own *redis.StringCmd
				err := c.Do(c.WithRider(t.Context(), r), func(ctx context.Context, p redis.Pipeliner) error {
					own = p.Get(ctx, "k")
					return nil
				})
				if err != nil || own.Val() != "v" {
					t.Fatalf("Do: %v, its command: %v", err, own)
				}
			}
			if got := r.last(t); (got == nil) != (name == "panic after") || errors.Is(got, redisconn.ErrDown) != (name == "outage") {
				t.Errorf("the rider was told %v", got)
			}
			if got := s.Do("INFO", "commandstats"); name == "panic before" && !strings.Contains(got, "cmdstat_get:calls=10,") {
				t.Errorf("half a question was sent: %s", got)
			}
			if len(changes) != 0 || !c.State().OK {
				t.Errorf("the state is %+v after %d changes", c.State(), len(changes))
			}
		})
	}
}

func TestOutageOfTheCarrierIsNotTheRiders(t *testing.T) {
	s := redistest.Start(t)
	c, changes := open(t, s.URL())
	s.Do("REPLICAOF", "127.0.0.1", "1")
	r := &rider{ask: func(ctx context.Context, p redis.Pipeliner) { p.Get(ctx, "k") }}
	err := c.Do(c.WithRider(t.Context(), r), func(ctx context.Context, p redis.Pipeliner) error {
		p.Set(ctx, "k", "v", 0)
		return nil
	})
	if !errors.Is(err, redisconn.ErrDown) || r.last(t) != nil {
		t.Errorf("Do: %v, the rider was told %v; want ErrDown and nil", err, r.last(t))
	}
	askUntil(t, func() error { return set(c) }, changes) // until the breaker is open
}

func TestRiderFailsIfItsCarrierIsNotSent(t *testing.T) {
	s := redistest.Start(t)
	c, changes := open(t, s.URL())
	r := &rider{key: "rider"}
	ctx := c.WithRider(t.Context(), r)

	nothing := func(context.Context, redis.Pipeliner) error { return nil }
	mine := errors.New("mine")
	if err := c.Do(ctx, nothing); err != nil {
		t.Error(err)
	}
	if err := c.Do(ctx, func(context.Context, redis.Pipeliner) error { return mine }); !errors.Is(err, mine) {
		t.Error(err)
	}
	if r.queued != 0 || len(r.told) != 0 {
		t.Errorf("where nothing was sent: queued %d times, told %v", r.queued, r.told)
	}

	ended, cancel := context.WithCancel(ctx)
	cancel()
	if _ = get(ended, c); !errors.Is(r.last(t), context.Canceled) {
		t.Errorf("where ctx had ended, it was told %v", r.last(t))
	}

	s.Stop()
	askUntil(t, func() error { return get(t.Context(), c) }, changes)
	if _ = get(ctx, c); !errors.Is(r.last(t), redisconn.ErrDown) || r.queued != 0 {
		t.Errorf("where Redis is down: queued %d times, told %v", r.queued, r.last(t))
	}
}

func TestRiderIsHeldNoLongerThanItsCarrier(t *testing.T) {
	s := redistest.Start(t)
	c, _ := openHasty(t, s.URL())
	s.Pause()
	r := &rider{key: "rider"}
	err := get(c.WithRider(t.Context(), r), c)
	if !errors.Is(err, redisconn.ErrDown) || !errors.Is(r.last(t), redisconn.ErrDown) {
		t.Errorf("Do: %v, the rider was told %v; want ErrDown twice", err, r.last(t))
	}
	if !strings.Contains(r.last(t).Error(), timeout.String()) {
		t.Errorf("the rider was told %v", r.last(t))
	}
}
