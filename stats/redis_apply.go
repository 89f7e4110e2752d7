package stats

import "time"

// applyScript applies one batch. The sequence number comes first: should a key not be what it was made as, so that the script fails on it, the batch is
// not applied in part again and again.
//
//nolint:dupword // Lua ends its blocks so
const applyScript = `
-- KEYS: the last sequence number; hashes of counts; sorted sets of names
-- ARGV: sequence, its life, how many hashes;
--   for each hash: life, how many fields, fields each with its increment;
--   for each set: life, oldest score kept, how many members, members each after its score
local last = redis.call('GET', KEYS[1])
if last and tonumber(last) >= tonumber(ARGV[1]) then
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
local hashes, at = tonumber(ARGV[3]), 4
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
for k = hashes + 2, #KEYS do
  local life, oldest, first = ARGV[at], ARGV[at + 1], at + 3
  at = first + 2 * tonumber(ARGV[at + 2])
  redis.call('ZADD', KEYS[k], 'GT', unpack(ARGV, first, at - 1))
  redis.call('ZREMRANGEBYSCORE', KEYS[k], '-inf', '(' .. oldest)
  redis.call('EXPIRE', KEYS[k], life)
end
return 1
`

// argument is one key of the script with what belongs to it.
type argument struct {
	key   string
	head  []any // before the number of pairs
	pairs []any
}

// arguments returns the keys and arguments of applyScript.
func (s *Redis) arguments(b *Batch) (keys []string, args []any) {
	hashes := s.hashes(b)
	keys = append(keys, s.conn.Key("stats", b.Scope.root(), "seq", b.Process))
	args = append(args, b.Sequence, seconds(sequenceLife), len(hashes))
	for _, a := range append(hashes, s.sets(b)...) {
		keys = append(keys, a.key)
		args = append(append(args, a.head...), len(a.pairs)/2)
		args = append(args, a.pairs...)
	}
	return keys, args
}

// hashes returns the increments by hash. What adds nothing is left out.
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
			all = append(all, argument{key: s.hashKey(inc.scope, inc.period, name), head: []any{seconds(layouts[inc.period].life)}})
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
	head := []any{seconds(layouts[Month].life), hours(Month.oldest(b.latest()))}
	for _, seen := range b.sightings() {
		around, name, _ := seen.scope.parent()
		key := s.namesKey(around)
		at, ok := index[key]
		if !ok {
			at = len(all)
			index[key] = at
			all = append(all, argument{key: key, head: head})
		}
		all[at].pairs = append(all[at].pairs, hours(seen.hour), name)
	}
	return all
}
