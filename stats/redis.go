package stats

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"osgate/internal/redisconn"
)

const (
	// appliesAtOnce bounds the number of batches, each of another organization, that
	// are sent to Redis at the same time.
	appliesAtOnce = 8
	// sequenceLife is how long Redis remembers the last batch of a process and
	// organization: a batch may be in doubt for that long and still not be counted
	// twice.
	sequenceLife = 30 * 24 * time.Hour
	// slack is added to the life of every key, for clock differences and late batches.
	slack = 7 * 24 * time.Hour
	day   = 24 * time.Hour
)

// layout describes the counts of a period in Redis: one hash for each scope and chunk,
// one field for each bucket and measure. Hashes of this size are stored without
// pointers (hash-max-listpack-entries, 128 by default), and expire one retention after
// the last new bucket in them.
type layout struct {
	letter string
	chunk  string // time layout of the chunk in the key
	life   time.Duration
}

var layouts = [periods]layout{
	Hour:  {letter: "h", chunk: "20060102", life: 3*31*day + day + slack},
	Day:   {letter: "d", chunk: "200601", life: 366*day + 31*day + slack},
	Month: {letter: "m", chunk: "2006", life: 2*366*day + 366*day + slack},
}

// fieldSuffixes distinguish the measures of a bucket.
var fieldSuffixes = [measures]string{Client: "", Upstream: "u", ClientUnits: "b", UpstreamUnits: "v"}

// Redis is a [Store] that all gateways share. Every organization has one hash slot, and
// a batch is one script there, so that it is applied as a whole or not at all. The
// store keeps only what Redis keeps: without persistence, or when a lagging replica is
// promoted, counts are lost. Redis must not evict (maxmemory-policy noeviction or a
// volatile one that is never reached). Counts past their retention expire by Redis's
// clock. Create it with [NewRedis].
type Redis struct {
	conn *redisconn.Conn
	seen directory
}

// NewRedis returns a store on conn. It does not close conn.
func NewRedis(conn *redisconn.Conn) *Redis {
	return &Redis{conn: conn, seen: directory{hours: make(map[Scope]int64)}}
}

// MaxEntries implements [Store]. Other commands wait while Redis runs a script: 0.8 ms
// for 100 stores that were counted before.
func (s *Redis) MaxEntries() int { return 100 }

// Apply implements [Store]. Each batch is one round trip; one more stores which
// organizations have counts.
func (s *Redis) Apply(ctx context.Context, batches []*Batch) []error {
	errs := make([]error, len(batches))
	var g errgroup.Group
	g.SetLimit(appliesAtOnce)
	for i, b := range batches {
		g.Go(func() error {
			errs[i] = s.apply(ctx, b)
			return nil
		})
	}
	g.Go(func() error {
		s.note(ctx, batches)
		return nil
	})
	_ = g.Wait() // the functions return no errors
	return errs
}

func (s *Redis) apply(ctx context.Context, b *Batch) error {
	keys, args := s.arguments(b)
	var cmd *redis.Cmd
	err := s.conn.Do(ctx, func(ctx context.Context, p redis.Pipeliner) error {
		// EVAL, not EVALSHA: the script is small compared with its arguments, and need
		// not be loaded again after a restart of Redis.
		cmd = p.Eval(ctx, applyScript, keys, args...)
		return nil
	})
	if err == nil {
		err = cmd.Err()
	}
	return unavailable("applying batch", err)
}

// Counts implements [Store] with one round trip, with two or three commands for each
// scope, regardless of the scopes below it.
func (s *Redis) Counts(ctx context.Context, q CountsQuery) ([][]Counts, error) {
	rows := make([][]Counts, len(q.Scopes))
	if len(q.Starts) == 0 || len(q.Measures) == 0 {
		for i := range rows {
			rows[i] = make([]Counts, len(q.Starts))
		}
		return rows, nil
	}
	chunks := chunksOf(q)
	cmds := make([]*redis.SliceCmd, 0, len(q.Scopes)*len(chunks))
	err := s.conn.Do(ctx, func(ctx context.Context, p redis.Pipeliner) error {
		for _, scope := range q.Scopes {
			for _, c := range chunks {
				cmds = append(cmds, p.HMGet(ctx, s.hashKey(scope, q.Period, c.name), c.fields...))
			}
		}
		return nil
	})
	for i := 0; err == nil && i < len(cmds); i++ {
		row := i / len(chunks)
		rows[row], err = appendCounts(rows[row], cmds[i], q.Measures)
	}
	if err != nil {
		return nil, unavailable("reading counts", err)
	}
	return rows, nil
}

// slice is the part of the requested buckets that is in one hash.
type slice struct {
	name   string
	fields []string
}

// chunksOf cuts the buckets of q, which are in order of time, into chunks.
func chunksOf(q CountsQuery) []slice {
	var all []slice
	for _, start := range q.Starts {
		name, field := place(q.Period, start)
		if len(all) == 0 || all[len(all)-1].name != name {
			all = append(all, slice{name: name})
		}
		last := &all[len(all)-1]
		for _, m := range q.Measures {
			last.fields = append(last.fields, field+fieldSuffixes[m])
		}
	}
	return all
}

// appendCounts appends the result of an HMGET: for each bucket one value per measure, 0
// for a missing field.
func appendCounts(row []Counts, cmd *redis.SliceCmd, wanted []Measure) ([]Counts, error) {
	values, err := cmd.Result()
	if err != nil {
		return nil, err
	}
	for bucket := range slices.Chunk(values, len(wanted)) {
		var c Counts
		for i, v := range bucket {
			text, ok := v.(string)
			if !ok {
				continue
			}
			if c[wanted[i]], err = strconv.ParseUint(text, 10, 64); err != nil {
				return nil, errors.New("a count is not a number")
			}
		}
		row = append(row, c)
	}
	return row, nil
}

// Names implements [Store].
func (s *Redis) Names(ctx context.Context, scope Scope, since time.Time) ([]string, error) {
	var cmd *redis.StringSliceCmd
	err := s.conn.Do(ctx, func(ctx context.Context, p redis.Pipeliner) error {
		cmd = p.ZRevRangeByScore(ctx, s.namesKey(scope),
			&redis.ZRangeBy{Min: strconv.FormatInt(hours(since), 10), Max: "+inf"})
		return nil
	})
	if err == nil {
		err = cmd.Err()
	}
	if err != nil {
		return nil, unavailable("reading names", err)
	}
	return cmd.Val(), nil
}

// SaveTree implements [Store]. Root and sub-organizations have different slots; after
// an error, part of the tree may be saved.
func (s *Redis) SaveTree(ctx context.Context, t Tree) error {
	if len(t.Subs) == 0 {
		return nil
	}
	var cmds []redis.Cmder
	err := s.conn.Do(ctx, func(ctx context.Context, p redis.Pipeliner) error {
		key, life := s.conn.Key("stats", Scope{Plane: t.Plane, Organization: t.Root}.root(), "subs"),
			layouts[Month].life
		if t.Root != "" {
			cmds = append(cmds, p.SAdd(ctx, key, asAny(t.Subs)...), p.Expire(ctx, key, life))
		}
		for _, sub := range t.Subs {
			key := s.conn.Key("stats", Scope{Plane: t.Plane, Organization: sub}.root(), "root")
			if t.Root == "" {
				cmds = append(cmds, p.SetNX(ctx, key, "", life))
			} else {
				cmds = append(cmds, p.Set(ctx, key, t.Root, life))
			}
		}
		return nil
	})
	for i := 0; err == nil && i < len(cmds); i++ {
		err = cmds[i].Err()
	}
	return unavailable("saving organization tree", err)
}

// Tree implements [Store].
func (s *Redis) Tree(ctx context.Context, plane, organization string) (Tree, error) {
	tag := Scope{Plane: plane, Organization: organization}.root()
	var root *redis.StringCmd
	var subs *redis.StringSliceCmd
	err := s.conn.Do(ctx, func(ctx context.Context, p redis.Pipeliner) error {
		root = p.Get(ctx, s.conn.Key("stats", tag, "root"))
		subs = p.SMembers(ctx, s.conn.Key("stats", tag, "subs"))
		return nil
	})
	if err == nil && !errors.Is(root.Err(), redis.Nil) {
		err = root.Err()
	}
	if err == nil {
		err = subs.Err()
	}
	switch {
	case err != nil:
		return Tree{}, unavailable("reading organization tree", err)
	case root.Err() == nil:
		return Tree{Plane: plane, Root: root.Val()}, nil
	}
	return Tree{Plane: plane, Root: organization, Subs: subs.Val()}, nil
}

// hashKey returns the key of the counts of a scope in a chunk of time. path begins with
// a slash or is empty.
func (s *Redis) hashKey(scope Scope, p Period, chunk string) string {
	return s.conn.Key("stats", scope.root(), layouts[p].letter, chunk+scope.path())
}

// namesKey returns the key of the sorted set of the names directly below scope, by the
// hour of their latest counts.
func (s *Redis) namesKey(scope Scope) string {
	return s.conn.Key("stats", scope.root(), "names", scope.path())
}

// place returns the chunk of a bucket and its field there, without the suffix of the
// measure.
func place(p Period, start time.Time) (chunk, field string) {
	at, index := p.chunk(start)
	return at.Format(layouts[p].chunk), strconv.Itoa(index)
}

func hours(t time.Time) int64 { return Hour.Start(t).Unix() / 3600 }

func seconds(d time.Duration) int64 { return int64(d / time.Second) }

func asAny[T any](values []T) []any {
	all := make([]any, len(values))
	for i, v := range values {
		all[i] = v
	}
	return all
}

// unavailable wraps an error of Redis; nil stays nil.
func unavailable(doing string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %s: %w", ErrUnavailable, doing, err)
}

// applyScript applies one batch. The sequence number comes first: should a key not be
// what it was made as, so that the script fails on it, the batch is not applied in part
// again and again. A gateway's clock that is ahead of Redis's removes no name.
//
//nolint:dupword // Lua ends its blocks so
const applyScript = `
-- KEYS: the last sequence number; hashes of counts; sorted sets of names
-- ARGV: sequence, its life, how many hashes, the latest hour counted in, for how many hours names are kept;
--   for each hash: life, how many fields, fields each with its increment;
--   for each set: life, how many members, members each after its score
local last = redis.call('GET', KEYS[1])
if last and tonumber(last) >= tonumber(ARGV[1]) then
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
local hashes, at = tonumber(ARGV[3]), 6
for k = 2, hashes + 1 do
  local life, first, fresh = ARGV[at], at + 2, false
  at = first + 2 * tonumber(ARGV[at + 1])
  for i = first, at - 1, 2 do
    if redis.call('HINCRBY', KEYS[k], ARGV[i], ARGV[i + 1]) == tonumber(ARGV[i + 1]) then
      fresh = true
    end
  end
  if fresh then
    redis.call('EXPIRE', KEYS[k], life)
  end
end
local oldest = math.min(ARGV[4], math.floor(redis.call('TIME')[1] / 3600)) - ARGV[5]
for k = hashes + 2, #KEYS do
  local life, first = ARGV[at], at + 2
  at = first + 2 * tonumber(ARGV[at + 1])
  redis.call('ZADD', KEYS[k], 'GT', unpack(ARGV, first, at - 1))
  redis.call('ZREMRANGEBYSCORE', KEYS[k], '-inf', '(' .. oldest)
  redis.call('EXPIRE', KEYS[k], life)
end
return 1
`

// argument is one key of the script with its arguments.
type argument struct {
	key   string
	life  time.Duration
	pairs []any
}

// arguments returns the keys and arguments of applyScript.
func (s *Redis) arguments(b *Batch) (keys []string, args []any) {
	hashes := s.hashes(b)
	keys = append(keys, s.conn.Key("stats", b.Scope.root(), "seq", b.Process))
	latest := b.latest()
	args = append(args, b.Sequence, seconds(sequenceLife), len(hashes), hours(latest), kept(latest))
	for _, a := range append(hashes, s.sets(b)...) {
		keys = append(keys, a.key)
		args = append(args, seconds(a.life), len(a.pairs)/2)
		args = append(args, a.pairs...)
	}
	return keys, args
}

// hashes returns the increments by hash, without those that add 0.
func (s *Redis) hashes(b *Batch) []argument {
	type hash struct {
		scope  Scope
		period Period
		chunk  string
	}
	var all []argument
	index := make(map[hash]int)
	for _, inc := range b.increments() {
		name, field := place(inc.period, time.Unix(inc.start, 0))
		h := hash{scope: inc.scope, period: inc.period, chunk: name}
		at, ok := index[h]
		if !ok {
			at = len(all)
			index[h] = at
			all = append(all, argument{key: s.hashKey(inc.scope, inc.period, name), life: layouts[inc.period].life})
		}
		for m, n := range inc.counts {
			if n > 0 {
				all[at].pairs = append(all[at].pairs, field+fieldSuffixes[m], n)
			}
		}
	}
	return all
}

// sets returns the names seen by set, each after its score.
func (s *Redis) sets(b *Batch) []argument {
	var all []argument
	index := make(map[string]int)
	for _, seen := range b.sightings() {
		around, name, _ := seen.scope.parent()
		key := s.namesKey(around)
		at, ok := index[key]
		if !ok {
			at = len(all)
			index[key] = at
			all = append(all, argument{key: key, life: layouts[Month].life})
		}
		all[at].pairs = append(all[at].pairs, hours(seen.hour), name)
	}
	return all
}

// kept returns the number of hours before latest for which names and organizations are
// kept: as long as the months of their counts.
func kept(latest time.Time) int64 { return hours(latest) - hours(Month.oldest(latest)) }
