package cache

import (
	"context"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"osgate/cache/httpcache"
	"osgate/internal/redisconn"
	"osgate/internal/seal"
)

// errOddClock is the error for an answer that is not Redis's clock.
var errOddClock = errors.New("the script of the clock returned an unexpected answer")

const (
	// keepQueue bounds the entries that wait to be written. keepBytes bounds the bodies
	// of these, unless one body is larger.
	keepQueue = 1024
	keepBytes = 16 << 20
	// keepWorkers is the number of concurrent writes.
	keepWorkers = 4
)

var (
	//go:embed lua/body.lua
	bodyLua string
	//go:embed lua/clock.lua
	clockLua string
)

// SharedOptions configure [NewSharedBodies].
type SharedOptions struct {
	EntryBytes int64 // the largest body that is kept or accepted
}

// SharedBodies is [Shared] in Redis. Entries are sealed and bound to their names, which
// are keyed hashes. A party that can read or write that Redis learns nothing about the
// entries; it can forge none, pass none off as another, and make none younger. Its
// [SharedBodies.Run] must run. It is safe for concurrent use.
//
// The age of an entry comes from Redis's clock alone and is rounded up: the sealed text
// contains the time of the request, by the clock of the server that stores it. So the
// clocks of gateways need not agree. A command that Redis executes late, or a prolonged
// expiry of a key, does not make an entry younger.
type SharedBodies struct {
	conn        *redisconn.Conn
	options     SharedOptions
	sealer      *seal.Sealer
	names       []byte // the key for names; never printed
	body, clock *redis.Script

	queue  chan queuedEntry
	queued httpcache.Budget

	kept, dropped, unreadable atomic.Int64
}

var _ Shared = (*SharedBodies)(nil)

// queuedEntry is an entry to be written.
type queuedEntry struct {
	name  [32]byte
	entry *Entry
}

// NewSharedBodies returns a SharedBodies over conn. The caller must close conn after
// Run has returned, and should use it for nothing more: large bodies would delay other
// commands. The secret is the deployment's; a secret of less than 32 bytes is an error.
// It does not dial.
func NewSharedBodies(conn *redisconn.Conn, secret []byte, o SharedOptions) (*SharedBodies, error) {
	sealer, err := seal.New(secret, "cache body")
	if err != nil {
		return nil, fmt.Errorf("creating the seal of bodies: %w", err)
	}
	names, err := hkdf.Key(sha256.New, secret, nil, "osgate cache body names", sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("deriving the key for names: %w", err)
	}
	b := &SharedBodies{
		conn: conn, options: o, sealer: sealer, names: names,
		body: redis.NewScript(bodyLua), clock: redis.NewScript(clockLua), queue: make(chan queuedEntry, keepQueue),
	}
	b.queued.Limit = max(keepBytes, o.EntryBytes)
	return b, nil
}

// key returns the Redis key of the entry with a name.
func (b *SharedBodies) key(name [32]byte) string {
	mac := hmac.New(sha256.New, b.names)
	mac.Write(name[:])
	return b.conn.Key("body", hex.EncodeToString(mac.Sum(nil)))
}

// Find implements [Shared].
func (b *SharedBodies) Find(ctx context.Context, name [32]byte) *Entry {
	key, began := b.key(name), time.Now()
	reply, err := b.body.Run(ctx, b.conn.Scripter(), []string{key}).StringSlice()
	if err != nil || len(reply) != 2 || reply[0] == "" {
		return nil
	}
	clock, err := strconv.ParseInt(reply[1], 10, 64)
	if err != nil {
		return nil
	}
	e, age, err := b.open(key, reply[0], time.UnixMicro(clock))
	if err != nil || age < 0 || int64(len(e.Body)) > b.options.EntryBytes {
		b.unreadable.Add(1)
		return nil
	}
	e.RequestedAt = began.Add(-age)
	return e
}

// open returns the entry stored at key, and how long before clock it was requested.
func (b *SharedBodies) open(key, sealed string, clock time.Time) (*Entry, time.Duration, error) {
	text, err := b.sealer.Open(key, []byte(sealed))
	if err != nil {
		return nil, 0, fmt.Errorf("opening an entry: %w", err)
	}
	e, requestedAt, err := decodeEntry(text)
	if err != nil {
		return nil, 0, err
	}
	return e, clock.Sub(requestedAt), nil
}

// Keep implements [Shared]. Run does the work.
func (b *SharedBodies) Keep(name [32]byte, e *Entry) {
	size := int64(len(e.Body))
	if size > b.options.EntryBytes {
		return
	}
	if !b.queued.Take(size) {
		b.dropped.Add(1)
		return
	}
	select {
	case b.queue <- queuedEntry{name, e}:
	default:
		b.queued.Give(size)
		b.dropped.Add(1)
	}
}

// Run writes the queued entries until ctx is done, then those that still wait, and
// returns nil.
func (b *SharedBodies) Run(ctx context.Context) error {
	var workers sync.WaitGroup
	for range keepWorkers {
		workers.Go(func() { b.work(ctx) })
	}
	workers.Wait()
	return nil
}

// work writes until ctx is done and the queue is empty.
func (b *SharedBodies) work(ctx context.Context) {
	trips := context.WithoutCancel(ctx) // each has its own time limit
	for {
		select {
		case k := <-b.queue:
			b.write(trips, k)
			continue
		default:
		}
		select {
		case k := <-b.queue:
			b.write(trips, k)
		case <-ctx.Done():
			return
		}
	}
}

// write reads Redis's clock, and writes the entry with the time of its request by that
// clock. It takes two round trips, because that time is part of the sealed text.
func (b *SharedBodies) write(ctx context.Context, k queuedEntry) {
	defer b.queued.Give(int64(len(k.entry.Body)))
	key := b.key(k.name)
	requestedAt, err := b.instant(ctx, key, k.entry.RequestedAt)
	if err != nil {
		b.dropped.Add(1)
		return
	}
	ends := requestedAt.Add(k.entry.Lifetime - k.entry.InitialAge).UnixMilli()
	sealed := b.sealer.Seal(key, encodeEntry(k.entry, requestedAt))
	var set *redis.Cmd
	err = b.conn.Do(ctx, func(ctx context.Context, p redis.Pipeliner) error {
		set = p.Do(ctx, "set", key, sealed, "pxat", ends)
		return nil
	})
	if err != nil || set.Err() != nil {
		b.dropped.Add(1)
		return
	}
	b.kept.Add(1)
}

// instant converts a local time to the clock of the server that stores the key, rounded
// to the past.
func (b *SharedBodies) instant(ctx context.Context, key string, at time.Time) (time.Time, error) {
	reply, err := b.clock.Run(ctx, b.conn.Scripter(), []string{key}).StringSlice()
	if err != nil {
		return time.Time{}, fmt.Errorf("reading Redis's clock: %w", err)
	}
	if len(reply) != 1 {
		return time.Time{}, errOddClock
	}
	clock, err := strconv.ParseInt(reply[0], 10, 64)
	if err != nil {
		return time.Time{}, errOddClock
	}
	return time.UnixMicro(clock).Add(-time.Since(at)), nil
}

// Stats implements [Shared].
func (b *SharedBodies) Stats() SharedStats {
	return SharedStats{Kept: b.kept.Load(), Dropped: b.dropped.Load(), Unreadable: b.unreadable.Load()}
}

// Format prints a fixed text for every verb: a SharedBodies contains keys.
func (*SharedBodies) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[redacted]") }

// LogValue is Format, for slog.
func (*SharedBodies) LogValue() slog.Value { return slog.StringValue("[redacted]") }
