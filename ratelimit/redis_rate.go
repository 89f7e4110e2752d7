package ratelimit

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/go-redis/redis_rate/v10"
	"github.com/redis/go-redis/v9"

	"osgate/internal/redisconn"
)

// This file runs the script of redis_rate without its Limiter, which makes some 30
// allocations for each decision. The script is the one of the linked version, and its
// answer is read as redis_rate reads it (TestAnswersAreReadAsRedisRateReadsThem).

// scriptOfRedisRate returns the source of the script that redis_rate decides with.
func scriptOfRedisRate() string {
	var noted notedScript
	//nolint:forbidigo // nothing is sent
	_, _ = redis_rate.NewLimiter(&noted).Allow(context.Background(), "", redis_rate.PerSecond(1))
	return noted.source
}

// notedScript is a client that runs no script. It notes the source.
type notedScript struct {
	redisconn.Scripter // for the methods that are not used

	source string
}

// noScriptError is Redis's answer that it does not know a script.
type noScriptError struct{}

func (noScriptError) Error() string { return "NOSCRIPT" }

// RedisError implements [redis.Error].
func (noScriptError) RedisError() {}

// EvalSha answers that the script is not known.
func (s *notedScript) EvalSha(ctx context.Context, _ string, _ []string, _ ...any) *redis.Cmd {
	cmd := redis.NewCmd(ctx)
	cmd.SetErr(noScriptError{})
	return cmd
}

// Eval notes the source of the script.
func (s *notedScript) Eval(ctx context.Context, source string, _ []string, _ ...any) *redis.Cmd {
	s.source = source
	cmd := redis.NewCmd(ctx)
	cmd.SetErr(errors.New("not run"))
	return cmd
}

// answerOf reads the answer of redis_rate's script: two numbers and two texts, which are
// seconds.
func answerOf(replies *redisconn.Replies) (r redis_rate.Result, err error) {
	if replies.Array() != 4 {
		return r, errOddAnswer
	}
	r.Allowed, r.Remaining = replies.Int(), replies.Int()
	retry, reset := replies.Text(), replies.Text()
	if replies.Err() != nil {
		return r, errOddAnswer
	}
	if r.RetryAfter, err = seconds(string(retry)); err != nil {
		return r, err
	}
	r.ResetAfter, err = seconds(string(reset))
	return r, err
}

// seconds parses a number of seconds; -1 is kept as it is, as in redis_rate.
func seconds(text string) (time.Duration, error) {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0, errOddAnswer
	}
	if f == -1 {
		return -1, nil
	}
	return time.Duration(f * float64(time.Second)), nil
}
