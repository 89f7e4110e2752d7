package stats

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// forgetScript removes entries whose latest count is too old, by Redis's clock if the
// gateway's clock is ahead of it.
const forgetScript = `
-- KEYS: a sorted set by hour
-- ARGV: the latest hour counted in, for how many hours members are kept
local oldest = math.min(ARGV[1], math.floor(redis.call('TIME')[1] / 3600)) - ARGV[2]
return redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. oldest)
`

// directory holds the organizations with counts that are not yet stored in Redis. Their
// list has a hash slot of its own, so it cannot be part of the script that applies a
// batch. It is written separately, as often as necessary, and no batch waits for it or
// fails because of it.
type directory struct {
	mu    sync.Mutex // guards hours
	hours map[Scope]int64
}

// add adds the organizations of batches and returns all that must be written. If there
// are more than a store remembers, some are left out.
func (d *directory) add(batches []*Batch) []redis.Z {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, b := range batches {
		if _, known := d.hours[b.Scope]; known || len(d.hours) < maxKnown {
			d.hours[b.Scope] = max(d.hours[b.Scope], hours(b.latest()))
		}
	}
	all := make([]redis.Z, 0, len(d.hours))
	for scope, hour := range d.hours {
		all = append(all, redis.Z{Score: float64(hour), Member: scope.root()})
	}
	return all
}

// noted removes the entries that Redis has received.
func (d *directory) noted(all []redis.Z) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, z := range all {
		root, _ := z.Member.(string) // as add created it
		scope, _ := parseRoot(root)
		if float64(d.hours[scope]) <= z.Score {
			delete(d.hours, scope)
		}
	}
}

// note writes the hours of the latest counts of the batches' organizations. If it
// fails, they are written with the next batches.
func (s *Redis) note(ctx context.Context, batches []*Batch) {
	all := s.seen.add(batches)
	if len(all) == 0 {
		return
	}
	key, latest := s.organizationsKey(), all[0].Score
	for _, z := range all {
		latest = max(latest, z.Score)
	}
	hour := int64(latest)
	var cmds []redis.Cmder
	err := s.conn.Do(ctx, func(ctx context.Context, p redis.Pipeliner) error {
		cmds = append(cmds,
			p.ZAddGT(ctx, key, all...),
			p.Eval(ctx, forgetScript, []string{key}, hour, kept(time.Unix(hour*3600, 0))),
			p.ZRemRangeByRank(ctx, key, 0, -maxKnown-1),
			p.Expire(ctx, key, layouts[Month].life))
		return nil
	})
	for i := 0; err == nil && i < len(cmds); i++ {
		err = cmds[i].Err()
	}
	if err == nil {
		s.seen.noted(all)
	}
}

// Organizations implements [Store].
func (s *Redis) Organizations(ctx context.Context, since time.Time, limit int) ([]Scope, error) {
	var cmd *redis.StringSliceCmd
	err := s.conn.Do(ctx, func(ctx context.Context, p redis.Pipeliner) error {
		cmd = p.ZRevRangeByScore(ctx, s.organizationsKey(), &redis.ZRangeBy{
			Min: strconv.FormatInt(hours(since), 10), Max: "+inf", Count: int64(limit),
		})
		return nil
	})
	if err == nil {
		err = cmd.Err()
	}
	if err != nil {
		return nil, unavailable("reading organizations", err)
	}
	var all []Scope
	for _, root := range cmd.Val() {
		if scope, ok := parseRoot(root); ok {
			all = append(all, scope)
		}
	}
	return all, nil
}

// organizationsKey returns the key of the sorted set of all organizations, by the hour
// of their latest counts. No organization has the same hash tag, because their tags
// contain a slash.
func (s *Redis) organizationsKey() string { return s.conn.Key("stats", "organizations") }
