package main

import (
	"context"
	"fmt"
	"time"

	"osgate/bench/load"
	"osgate/bench/report"
)

// kind is the kind of answers that a scenario requires.
type kind int

const (
	same    kind = iota // a subject's: the kind of its scenario
	pass                // 2xx, from anywhere
	hit                 // from the cache
	miss                // each from the origin
	refused             // 429
)

// usage is the use of the processes of a site so far.
type usage struct {
	subject, redis, origin time.Duration
	mallocs                float64
	commands               map[string]command
	reads                  int64
}

// used reads the usage. It is called before and after a load, never during one.
func (s *site) used(ctx context.Context, t *target) (u usage, err error) {
	if u.subject, err = t.process.CPU(); err != nil {
		return u, err
	}
	if u.redis, err = s.redis.CPU(); err != nil {
		return u, err
	}
	if u.origin, err = s.origin.CPU(); err != nil {
		return u, err
	}
	if u.commands, err = commandStats(ctx, s.redisPort); err != nil {
		return u, err
	}
	if u.reads, err = s.reads(ctx); err != nil {
		return u, err
	}
	u.mallocs, err = t.mallocs(ctx)
	return u, err
}

// sender sends a load and returns its measurements.
type sender func(context.Context) (load.Result, error)

// measure runs a load against a target and returns its costs. The caller adds the
// names.
func (s *site) measure(ctx context.Context, t *target, run sender) (report.Sample, error) {
	if err := t.process.Err(); err != nil {
		return report.Sample{}, err
	}
	if err := t.process.ResetPeak(); err != nil {
		return report.Sample{}, err
	}
	before, err := s.used(ctx, t)
	if err != nil {
		return report.Sample{}, err
	}
	r, err := run(ctx)
	if err != nil {
		return report.Sample{}, err
	}
	after, err := s.used(ctx, t)
	if err != nil {
		return report.Sample{}, err
	}
	peak, err := t.process.Peak()
	if err != nil {
		return report.Sample{}, err
	}
	n := float64(r.Requests)
	each := func(before, after time.Duration) float64 { return float64((after - before).Nanoseconds()) / 1e3 / n }
	sample := report.Sample{
		Requests: r.Requests, Rate: n / (float64(r.Microseconds) / 1e6), P50: r.P50, P90: r.P90, P99: r.P99, Max: r.Max,
		CPU: each(before.subject, after.subject), OriginCPU: each(before.origin, after.origin),
		Mallocs: (after.mallocs - before.mallocs) / n, Reads: float64(after.reads-before.reads) / n,
		Refused: float64(r.Not2xx) / n, Bytes: float64(r.Bytes) / n, Peak: peak, Commands: map[string]report.Command{},
	}
	if t.redis {
		sample.RedisCPU = each(before.redis, after.redis)
		for name, c := range since(before.commands, after.commands, r.Requests) {
			sample.Commands[name] = report.Command(c)
		}
	}
	if t.farRedis != 0 {
		trip, err := redisRoundTrip(ctx, t.farRedis)
		if err != nil {
			return report.Sample{}, err
		}
		sample.RedisTrip = float64(trip.Nanoseconds()) / 1e3
	}
	if r.Broken > 0 {
		sample.Problem = "connections broke or timed out"
	}
	return sample, nil
}

// judge returns why a sample does not count, or "".
func (k kind) judge(s report.Sample) string {
	switch {
	case s.Problem != "":
		return s.Problem
	case k == refused && s.Refused < 0.9:
		return fmt.Sprintf("%.1f %% of the requests were let through", 100-s.Refused*100)
	case k != refused && s.Refused > 0:
		return fmt.Sprintf("%.2f %% of the answers were errors", s.Refused*100)
	case k == hit && s.Reads > 0.02:
		return fmt.Sprintf("%.1f %% of the requests were misses", s.Reads*100)
	case k == miss && s.Reads < 0.98:
		return fmt.Sprintf("%.1f %% of the requests were hits", 100-s.Reads*100)
	}
	return ""
}
