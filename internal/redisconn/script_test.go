package redisconn_test

import (
	"context"
	"errors"
	"testing"

	"github.com/redis/go-redis/v9"

	"osgate/internal/redisconn"
	"osgate/internal/redisconn/redistest"
)

// echo returns its arguments, and counts.
const echo = `return { redis.call("INCR", KEYS[1]), ARGV[1], ARGV[2], ARGV[3], false }`

// TestScriptsAreRunAlike in a group and through go-redis, also by a Redis that does not
// know the script.
func TestScriptsAreRunAlike(t *testing.T) {
	for name, group := range map[string]bool{"group": true, "alone": false} {
		t.Run(name, func(t *testing.T) {
			s := redistest.Start(t)
			c, err := redisconn.Open(redisconn.Options{URL: s.URL(), Timeout: patience, Group: group})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = c.Close() })
			script := redisconn.NewScript(echo)
			for n := 1; n <= 2; n++ {
				err := c.Eval(t.Context(), script, c.Key("test", "k"), func(r *redisconn.Replies) error {
					got := []any{r.Array(), r.Int(), string(r.Text()), string(r.Text()), string(r.Text()), r.Text() == nil}
					for i, want := range []any{5, n, "a", "-2", "0.1", true} {
						if got[i] != want {
							t.Errorf("value %d is %v, want %v", i, got[i], want)
						}
					}
					return r.Err()
				}, redisconn.Text("a"), redisconn.Int(-2), redisconn.Float(0.1))
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func TestEvalReturnsWhatWentWrong(t *testing.T) {
	s := redistest.Start(t)
	c, changes := open(t, s.URL())
	mine := errors.New("mine")
	unread := func(*redisconn.Replies) error {
		t.Error("an answer was read")
		return nil
	}
	eval := func(ctx context.Context, source string, answer func(*redisconn.Replies) error) error {
		return c.Eval(ctx, redisconn.NewScript(source), "k", answer)
	}
	if err := eval(t.Context(), "return 1", func(*redisconn.Replies) error { return mine }); !errors.Is(err, mine) {
		t.Errorf("the caller's own: %v", err)
	}
	if err := eval(t.Context(), `return redis.error_reply("MINE x")`, unread); !redis.HasErrorPrefix(err, "MINE") {
		t.Errorf("a script's: %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := eval(ended, "return 1", unread); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that had ended: %v", err)
	}
	s.Do("REPLICAOF", "127.0.0.1", "1")
	if err := eval(t.Context(), `return redis.call("SET", KEYS[1], 1)`, unread); !errors.Is(err, redisconn.ErrDown) {
		t.Errorf("a replica: %v", err)
	}
	s.Stop()
	down := func() error { return eval(t.Context(), "return 1", unread) }
	askUntil(t, down, changes)
	if err := down(); !errors.Is(err, redisconn.ErrDown) {
		t.Errorf("no Redis: %v", err)
	}
}

func TestRiderTravelsWithAScript(t *testing.T) {
	s := redistest.Start(t)
	c, _ := open(t, s.URL())
	r := &rider{key: "rider"}
	ctx := c.WithRider(t.Context(), r)
	count := func(*redisconn.Replies) error { return nil }
	if err := c.Eval(ctx, redisconn.NewScript(echo), "n", count, redisconn.Text("")); err != nil {
		t.Fatal(err)
	}
	if r.queued != 2 || r.last(t) != nil || r.answer.Val() != "OK" { // Redis does not know the script on the first trip
		t.Errorf("%d trips, told %v, answered %v", r.queued, r.told, r.answer)
	}
}
