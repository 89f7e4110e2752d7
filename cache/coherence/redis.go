package coherence

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"osgate/internal/redisconn"
)

// RedisOptions configure [NewRedis].
type RedisOptions struct {
	// Settle is how long a new epoch keeps all reads from the cache: the longest time
	// that a write may take until it takes effect upstream, as WriteLease of
	// [osgate/cache.Options]. It must be positive.
	Settle time.Duration

	// Strict refuses writes that cannot be marked. Without it they are sent unmarked
	// and remembered. Other replicas may serve the entries that they invalidate until
	// this replica reaches Redis again, at most for the freshness of those entries.
	Strict bool
}

// Redis is [Tracker] over all replicas that use one Redis. Its
// [Redis.Run] must run. It is safe for concurrent use.
//
// All resources of one store are in one of 64 hash slots. A write to a store marks in
// two slots, in one round trip, and waits for both. All commands go to Redis's primary,
// and its clock is the clock. Lost keys are harmless: a lost generation is made again
// under another id, and a lost epoch loses its leases too and is replaced by a new one
// that settles.
type Redis struct {
	conn     *redisconn.Conn
	options  RedisOptions
	scripts  scripts
	slots    [Slots]redisSlot
	releases chan release
	unmarked unmarked
	dropped  atomic.Int64
	settled  atomic.Int64
	grants   grantsRun

	absent       string       // a key that does not exist
	joints       sync.Pool    // of *jointRead
	scriptsUntil atomic.Int64 // when reads may be joint again, in Unix nanoseconds; 0: now
	seen         seenResources
}

// redisSlot is the state of a slot in a gateway.
type redisSlot struct {
	key        string             // of the slot's hash
	generation string             // the prefix of the keys of its generations
	remembered atomic.Pointer[ID] // the epoch of the latest answer; nil: none
}

// appendGeneration appends the key of the generation of a resource.
func (s *redisSlot) appendGeneration(b []byte, r *Resource) []byte {
	return hex.AppendEncode(append(b, s.generation...), r.Hash[:])
}

// appendLease appends the field of the leases on the resource, in its slot's hash.
func (r *Resource) appendLease(b []byte) []byte { return append(append(b, 'l'), r.Hash[:]...) }

// remember stores the epoch of an answer.
func (s *redisSlot) remember(id ID) {
	if known := s.remembered.Load(); known == nil || *known != id {
		fresh := id // so that only this one is allocated
		s.remembered.Store(&fresh)
	}
}

// release is a lease to be given back.
type release struct {
	on      Resources
	writer  ID
	changed bool
}

const (
	// generationLife is how long Redis keeps a generation without a lease: longer than
	// any entry may be fresh. Redis may drop it earlier at any time.
	generationLife = 2 * MaxAge
	// slotLeased is the number of resources of a slot that may be leased at once.
	// Beyond that, a lease is held on the whole slot.
	slotLeased = 2048
	// releaseQueue bounds the leases that wait to be given back, and releaseBatch those
	// of one round trip. A lease that finds no room runs out by itself.
	releaseQueue = 4096
	releaseBatch = 64
)

// lookEvery is how often all epochs are read. markLateEvery is how often the gateway
// tries to mark its unmarked writes.
const (
	lookEvery     = time.Second
	markLateEvery = 50 * time.Millisecond
)

var (
	errUnmarked = errors.New("writes of this gateway are not marked yet")
	errSettle   = errors.New("RedisOptions.Settle must be positive")
)

// NewRedis returns a coherence over conn. The caller must close conn after Run
// has returned. It does not dial.
func NewRedis(conn *redisconn.Conn, o RedisOptions) (*Redis, error) {
	if o.Settle <= 0 {
		return nil, errSettle
	}
	c := &Redis{
		conn: conn, options: o, scripts: newScripts(), releases: make(chan release, releaseQueue),
		unmarked: unmarked{added: make(chan struct{}, 1), writes: map[ID]*unmarkedWrite{}},
		grants: grantsRun{
			updates: make(chan tokenUpdate, publishQueue), revocations: revocations{tokens: map[[32]byte]tokenUpdate{}},
		},
		absent: conn.Key("absent", "absent"),
	}
	for i := range c.slots {
		s := &c.slots[i]
		tag := "cache" + strconv.Itoa(i) // one hash slot
		s.key, s.generation = conn.Key(kindOfReads, tag), conn.Key("generation", tag, "")
	}
	return c, nil
}

// kindOfReads is the kind of a slot's key, and of the round trip of a read.
const kindOfReads = "epoch"

// Read implements [Tracker]. It is one round trip, or two if a transaction was sent and
// the script must decide, and one more if Redis does not know the script. It fails while
// Redis is unavailable, and until the writes of that time have been marked.
func (c *Redis) Read(ctx context.Context, on Resources) (Reading, error) {
	if c.unmarked.any() {
		return Reading{}, errUnmarked
	}
	if c.sharesReads() {
		q := readQuestion{coherence: c, on: on, script: !c.seen.all(&on)}
		if err := c.conn.Ask(ctx, kindOfReads, &q); err != nil {
			return Reading{}, fmt.Errorf("reading generations: %w", err)
		}
		if q.answered {
			return q.reading, nil
		}
	}
	calls := c.calls(on, c.scripts.read)
	if err := c.run(ctx, calls); err != nil {
		return Reading{}, fmt.Errorf("reading generations: %w", err)
	}
	c.seen.add(&on)
	return readingOf(calls)
}

// readingOf combines the answers of the read script in each slot.
func readingOf(calls []call) (reading Reading, err error) {
	next := 0
	for i := range calls {
		if !reading.take(calls[i].answer, len(calls[i].keys)-1, &next) {
			return Reading{}, errOddAnswer
		}
	}
	return reading, nil
}

// readHead is the number of values before the generations in the answer of the read
// script.
const readHead = 3

// take adds the answer of the read script in one slot: epoch, purge, the reason why it
// is closed, and the generations, the first of which has the index next. Ok is false if
// the answer has any other form.
func (r *Reading) take(answer []string, generations int, next *int) (ok bool) {
	if len(answer) != readHead+generations || !r.Stamp.Epoch.mix(answer[0]) {
		return false
	}
	if purge := answer[1]; purge != "" && !r.Stamp.Epoch.mix(purge) {
		return false
	}
	if answer[2] != "" {
		r.Closed = answer[2]
	}
	for _, id := range answer[readHead:] {
		if !r.Stamp.Generations[*next].mix(id) {
			return false
		}
		*next++
	}
	return true
}

// Mark implements [Tracker]: one round trip. If Redis is unavailable it fails if
// strict. Otherwise the write is remembered, and all reads through this gateway bypass
// the cache until the write has been marked.
func (c *Redis) Mark(ctx context.Context, on Resources, writer ID, lease time.Duration) error {
	until := time.Now().Add(lease)
	err := c.mark(ctx, on, writer, lease)
	switch {
	case err == nil:
		return nil
	case c.options.Strict || ctx.Err() != nil:
		return err
	}
	c.unmarked.add(on, writer, until)
	return nil
}

func (c *Redis) mark(ctx context.Context, on Resources, writer ID, lease time.Duration) error {
	if err := c.runMark(ctx, c.markCalls(on, writer, lease)); err != nil {
		return fmt.Errorf("marking generations: %w", err)
	}
	return nil
}

// markCalls makes the calls of the mark script. A lease that has already run out is a
// lease of 0.
func (c *Redis) markCalls(on Resources, writer ID, lease time.Duration) []call {
	lease = max(0, lease)
	calls := c.calls(on, c.scripts.mark, writer[:], lease.Microseconds(), maxLeases, slotLeased)
	for i := range calls {
		calls[i].lease = lease
	}
	return calls
}

// Settled implements [Tracker].
func (c *Redis) Settled() int64 { return c.settled.Load() }

// Release implements [Tracker]. Run does the work.
func (c *Redis) Release(on Resources, writer ID, changed bool) {
	if writer == (ID{}) || c.unmarked.done(writer) {
		return
	}
	select {
	case c.releases <- release{on, writer, changed}:
	default:
		c.dropped.Add(1)
	}
}

// Dropped returns the number of leases that were left to run out because they could not
// be given back in time.
func (c *Redis) Dropped() int64 { return c.dropped.Load() }

// Reset implements [Tracker], in all slots in one round trip.
func (c *Redis) Reset(ctx context.Context) error {
	return c.epochs(ctx, "purge", 0)
}

// epochs runs the epoch script in all slots.
func (c *Redis) epochs(ctx context.Context, action string, settle time.Duration) error {
	calls := make([]call, Slots)
	for i := range calls {
		calls[i] = c.epochCall(uint8(i), action, settle)
	}
	if err := c.run(ctx, calls); err != nil {
		return fmt.Errorf("reading epochs: %w", err)
	}
	return nil
}

// epochCall makes the call of the epoch script in a slot.
func (c *Redis) epochCall(slot uint8, action string, settle time.Duration) call {
	return call{
		script: c.scripts.epoch, slot: slot, keys: []string{c.slots[slot].key},
		args: append(c.head(slot), action, settle.Microseconds()),
	}
}

// calls makes the calls of a script for the resources, one for each slot. The arguments
// are the head, args, the lease field of each resource, and then a fresh id for each.
func (c *Redis) calls(on Resources, script *redis.Script, args ...any) []call {
	calls := make([]call, 0, 1)
	for from, to := range on.slots() {
		slot := on.list[from].Slot
		one := call{
			script: script, slot: slot,
			keys: make([]string, 1, 1+on.n), args: make([]any, 0, headArgs+len(args)+2*on.n),
		}
		one.keys[0] = c.slots[slot].key
		one.args = append(append(one.args, c.head(slot)...), args...)
		var room [128]byte
		for i := from; i < to; i++ {
			one.keys = append(one.keys, string(c.slots[slot].appendGeneration(room[:0], &on.list[i])))
			one.args = append(one.args, string(on.list[i].appendLease(room[:0])))
		}
		fresh := newIDs(to - from)
		for len(fresh) > 0 {
			one.args, fresh = append(one.args, fresh[:len(ID{})]), fresh[len(ID{}):]
		}
		calls = append(calls, one)
	}
	return calls
}

// newIDs returns n fresh ids, one after the other.
func newIDs(n int) []byte {
	ids := make([]byte, n*len(ID{}))
	_, _ = rand.Read(ids)
	return ids
}

// headArgs is the number of arguments that all scripts begin with.
const headArgs = 5

// head returns the arguments that all scripts begin with (lua/enter.lua).
func (c *Redis) head(slot uint8) []any {
	var remembered []byte
	if id := c.slots[slot].remembered.Load(); id != nil {
		remembered = id[:]
	}
	return []any{
		remembered, newIDs(1), c.options.Settle.Microseconds(), flag(c.options.Strict), generationLife.Milliseconds(),
	}
}

// flag returns a boolean in the form that the scripts expect.
func flag(b bool) string {
	if b {
		return "1"
	}
	return "0"
}

// run runs the calls and remembers the epochs in their answers.
func (c *Redis) run(ctx context.Context, calls []call) error {
	if err := run(ctx, c.conn, calls); err != nil {
		return err
	}
	return c.remember(calls)
}

// remember stores the epochs in the answers.
func (c *Redis) remember(calls []call) error {
	for i := range calls {
		var id ID
		if len(calls[i].answer) == 0 || !id.mix(calls[i].answer[0]) {
			return errOddAnswer
		}
		c.slots[calls[i].slot].remember(id)
	}
	return nil
}

// mix combines the id in text with id, so that the result changes if any of several
// random ids changes. Ok is false if text is no id.
func (id *ID) mix(text string) (ok bool) {
	if len(text) != len(id) {
		return false
	}
	id.combine(ID([]byte(text)))
	return true
}

// combine is mix with an ID.
func (id *ID) combine(other ID) {
	for i := range id {
		id[i] ^= other[i]
	}
}

// read sets the id to the one in text. Ok is false if text is no id.
func (id *ID) read(text []byte) (ok bool) {
	return copy(id[:], text) == len(id) && len(text) == len(id)
}
