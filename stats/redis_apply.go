package stats

import "time"

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
