package auth

import (
	"context"
	_ "embed"
	"encoding/hex"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/redis/go-redis/v9"

	"osgate/internal/redisconn"
	"osgate/internal/seal"
)

// maxShared limits the size of an identity in Redis, in bytes; larger ones are kept in
// memory only.
const maxShared = 1 << 20

// Redis stores identities in Redis, sealed: a reader of Redis learns no identity, a
// writer cannot forge one, and an identity stored under one hash does not open under
// another. The time of its lookup and its lifetime are sealed too, so that an identity
// which is restored after its deletion, or kept beyond its end, does not become
// younger. It implements [Shared] and is safe for concurrent use. Each call is one
// round trip with the limits of [redisconn.Conn]; any failure is a miss. It needs Redis
// 6.2 or later.
type Redis struct {
	conn   *redisconn.Conn
	sealer *seal.Sealer
	look   *redis.Script

	unreadable atomic.Int64
}

//go:embed look.lua
var lookLua string

// NewRedis returns a Redis over conn, or an error for a secret that is shorter than 32
// bytes.
func NewRedis(conn *redisconn.Conn, secret []byte) (*Redis, error) {
	sealer, err := seal.New(secret, "identities 2")
	if err != nil {
		return nil, fmt.Errorf("making the seal of identities: %w", err)
	}
	return &Redis{conn: conn, sealer: sealer, look: redis.NewScript(lookLua)}, nil
}

// record is the sealed form of an identity. Times are microseconds since 1970.
type record struct {
	Placed    int64     `json:"placed"` // when the lookup began, by Redis's clock
	Made      int64     `json:"made"`   // when it was written, by the clock of the gateway that wrote it
	Life      int64     `json:"life"`   // from Placed on, in microseconds
	Principal Principal `json:"principal"`
}

// issue returns when e was issued, and for how long it is valid.
func (e *record) issue() seal.Issue {
	return seal.Issue{
		Placed: time.UnixMicro(e.Placed), Made: time.UnixMicro(e.Made), Life: time.Duration(e.Life) * time.Microsecond,
	}
}

// Get implements [Shared]. The age is that of the sealed record by Redis's clock,
// limited by the clocks of the gateways ([seal.Issue]).
func (r *Redis) Get(ctx context.Context, hash [32]byte) Found {
	key := r.key(hash)
	reply, err := r.look.Run(ctx, r.conn.Scripter(), []string{key}).Slice()
	if err != nil || len(reply) != 3 {
		return Found{}
	}
	sealed, _ := reply[0].(string)
	found := Found{Clock: clock(reply[1], reply[2])}
	if sealed == "" || found.Clock.IsZero() {
		return found
	}
	e, err := r.open(key, sealed)
	if err != nil {
		r.unreadable.Add(1)
		return found
	}
	if age, ok := e.issue().Age(found.Clock, time.Now()); ok {
		found.Principal, found.Age = &e.Principal, age
	}
	return found
}

// open reads the record stored at key.
func (r *Redis) open(key, sealed string) (e record, err error) {
	text, err := r.sealer.Open(key, []byte(sealed))
	if err != nil {
		return e, fmt.Errorf("opening an identity: %w", err)
	}
	if err := json.Unmarshal(text, &e); err != nil {
		return e, fmt.Errorf("reading an identity: %w", err)
	}
	return e, nil
}

// Unreadable returns how many identities in Redis could not be opened: forged, moved,
// damaged or of another version. Identities of another secret have other keys.
func (r *Redis) Unreadable() int64 { return r.unreadable.Load() }

// clock reads the reply to TIME. It returns the zero time if the reply is malformed.
func clock(seconds, micros any) time.Time {
	s, errS := strconv.ParseInt(fmt.Sprint(seconds), 10, 64)
	us, errUS := strconv.ParseInt(fmt.Sprint(micros), 10, 64)
	if errS != nil || errUS != nil {
		return time.Time{}
	}
	return time.Unix(s, us*int64(time.Microsecond))
}

// Put implements [Shared]. It sets the time when the record ends, not a time to live:
// if Redis runs the command late, as after a pause, the record still ends at that time.
func (r *Redis) Put(ctx context.Context, hash [32]byte, p *Principal, asked time.Time, lifetime time.Duration) {
	key := r.key(hash)
	e := record{Placed: asked.UnixMicro(), Made: time.Now().UnixMicro(), Life: lifetime.Microseconds(), Principal: *p}
	text, err := json.Marshal(e)
	if err != nil || len(text) > maxShared || lifetime < time.Millisecond {
		return
	}
	sealed, ends := r.sealer.Seal(key, text), asked.Add(lifetime).UnixMilli()
	// Best effort: without it the other gateways send lookups themselves.
	_ = r.conn.Do(ctx, func(ctx context.Context, p redis.Pipeliner) error {
		return p.Do(ctx, "set", key, sealed, "pxat", ends).Err()
	})
}

// Drop implements [Shared].
func (r *Redis) Drop(ctx context.Context, hash [32]byte) {
	// Best effort: a record that stays ends by itself.
	_ = r.conn.Do(ctx, func(ctx context.Context, p redis.Pipeliner) error {
		return p.Del(ctx, r.key(hash)).Err()
	})
}

func (r *Redis) key(hash [32]byte) string { return r.conn.Key("identity", hex.EncodeToString(hash[:])) }
