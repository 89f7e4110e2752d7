package cache

import (
	"context"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	_ "embed"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
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

// sharedVersion is the first byte of an encoded entry. An entry of another version is
// not read: during an upgrade of a deployment, old and new replicas do not share
// entries.
const sharedVersion = 1

// errEntry is the error for bytes that are no encoded entry.
var errEntry = errors.New("not an encoded entry")

// maxShortCount bounds the number of names in a header, and of values of a name.
const maxShortCount = 1 << 12

// encodeEntry encodes e. RequestedAt is the time of its request by the clock of the
// shared store. The stamp and the resources are not encoded, because they are part of
// the entry's name.
func encodeEntry(e *Entry, requestedAt time.Time) []byte {
	b := make([]byte, 0, 64+httpcache.HeaderBytes(e.Header)+len(e.Body))
	flags := byte(0)
	if e.Head {
		flags = 1
	}
	b = append(b, sharedVersion, flags)
	b = binary.BigEndian.AppendUint16(b, uint16(e.Status))
	for _, n := range []int64{
		requestedAt.UnixMicro(), int64(e.InitialAge), int64(e.Lifetime),
		int64(e.stale.whileRevalidate), int64(e.stale.ifError),
	} {
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	b = binary.BigEndian.AppendUint32(b, uint32(len(e.Header)))
	for name, values := range e.Header {
		b = appendValues(appendPart(b, name), values)
	}
	return append(b, e.Body...)
}

// decodeEntry decodes the bytes of encodeEntry. The entry's body is part of b.
// RequestedAt is by the clock of the shared store; the entry's own field is not set.
func decodeEntry(b []byte) (e *Entry, requestedAt time.Time, err error) {
	d := decoder{rest: b}
	if head := d.take(2); d.short || head[0] != sharedVersion || head[1] > 1 {
		return nil, time.Time{}, errEntry
	}
	e = &Entry{Response: httpcache.Response{Head: b[1] == 1, Status: int(d.uint16())}}
	requestedAt = time.UnixMicro(d.int64())
	e.InitialAge, e.Lifetime = time.Duration(d.int64()), time.Duration(d.int64())
	e.stale = staleness{time.Duration(d.int64()), time.Duration(d.int64())}
	e.Header = d.header()
	if d.short || !e.valid() {
		return nil, time.Time{}, errEntry
	}
	e.Body = slices.Clip(d.rest)
	return e, requestedAt, nil
}

// valid reports whether a decoded entry could have been stored.
func (e *Entry) valid() bool {
	return e.Status >= http.StatusOK && e.Status < 600 && e.InitialAge >= 0 && e.Lifetime > 0 && e.Lifetime <= MaxTTL &&
		e.stale.whileRevalidate >= 0 && e.stale.ifError >= 0
}

// decoder reads from the front of rest. If rest is too short, or a count too large, it
// sets short and returns zeros.
type decoder struct {
	rest  []byte
	short bool
}

// zeros is the result of a read beyond the end.
var zeros [8]byte

func (d *decoder) take(n int) []byte {
	if n > len(d.rest) {
		d.short, d.rest = true, nil
		return zeros[:min(n, len(zeros))]
	}
	taken := d.rest[:n]
	d.rest = d.rest[n:]
	return taken
}

func (d *decoder) uint16() uint16 { return binary.BigEndian.Uint16(d.take(2)) }

func (d *decoder) int64() int64 { return int64(binary.BigEndian.Uint64(d.take(8))) }

func (d *decoder) count() int {
	n := binary.BigEndian.Uint32(d.take(4))
	if n > maxShortCount {
		d.short = true
		return 0
	}
	return int(n)
}

func (d *decoder) text() string {
	n := int64(binary.BigEndian.Uint32(d.take(4)))
	if n > int64(len(d.rest)) {
		d.short, d.rest = true, nil
		return ""
	}
	return string(d.take(int(n)))
}

func (d *decoder) header() http.Header {
	h := make(http.Header)
	for range d.count() {
		name := d.text()
		values := []string{}
		for range d.count() {
			if values = append(values, d.text()); d.short {
				return nil
			}
		}
		if d.short {
			return nil
		}
		h[name] = values
	}
	return h
}
