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

// maxShared bounds in bytes what is kept of one identity in Redis; larger ones are known in process only.
const maxShared = 1 << 20

// Redis keeps identities in Redis, sealed: whoever reads or writes it learns nothing and can forge nothing, and what lies under one hash opens under no
// other. When each was asked for and how long it counts is sealed too, so that one which is put back after it was deleted, or kept beyond its end, is as
// old as it is. It implements [Shared] and is safe for concurrent use. Each call is one round trip with the bounds of [redisconn.Conn]; trouble of any
// kind is a miss. Redis 6.2 or later.
type Redis struct {
	conn   *redisconn.Conn
	sealer *seal.Sealer
	look   *redis.Script

	unreadable atomic.Int64
}

//go:embed look.lua
var lookLua string

// NewRedis returns a Redis over conn, or an error for a secret that is shorter than 32 bytes.
func NewRedis(conn *redisconn.Conn, secret []byte) (*Redis, error) {
	sealer, err := seal.New(secret, "identities 2")
	if err != nil {
		return nil, fmt.Errorf("making the seal of identities: %w", err)
	}
	return &Redis{conn: conn, sealer: sealer, look: redis.NewScript(lookLua)}, nil
}

// record is an identity as it is sealed. Instants are microseconds since 1970.
type record struct {
	Placed    int64     `json:"placed"` // when it was asked for, by Redis's clock
	Made      int64     `json:"made"`   // when it was written, by the clock of the gateway that wrote it
	Life      int64     `json:"life"`   // from Placed on, in microseconds
	Principal Principal `json:"principal"`
}

// issue returns when e was issued, and for how long.
func (e *record) issue() seal.Issue {
	return seal.Issue{Placed: time.UnixMicro(e.Placed), Made: time.UnixMicro(e.Made), Life: time.Duration(e.Life) * time.Microsecond}
}

// Get implements [Shared]. The age is that of the sealed record by Redis's clock, bounded by the clocks of the gateways ([seal.Issue]).
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

// open reads the record that lies at key.
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

// Unreadable returns how many identities were found in Redis that do not open: sealed by another secret, forged, moved, damaged or of another version.
func (r *Redis) Unreadable() int64 { return r.unreadable.Load() }

// clock reads the reply of TIME; zero: it is none.
func clock(seconds, micros any) time.Time {
	s, errS := strconv.ParseInt(fmt.Sprint(seconds), 10, 64)
	us, errUS := strconv.ParseInt(fmt.Sprint(micros), 10, 64)
	if errS != nil || errUS != nil {
		return time.Time{}
	}
	return time.Unix(s, us*int64(time.Microsecond))
}

// Put implements [Shared]. It names the instant when the record ends, not a time to live: a command that Redis gets to late, as after a pause, keeps
// nothing for longer.
func (r *Redis) Put(ctx context.Context, hash [32]byte, p *Principal, asked time.Time, lifetime time.Duration) {
	key := r.key(hash)
	e := record{Placed: asked.UnixMicro(), Made: time.Now().UnixMicro(), Life: lifetime.Microseconds(), Principal: *p}
	text, err := json.Marshal(e)
	if err != nil || len(text) > maxShared || lifetime < time.Millisecond {
		return
	}
	sealed, ends := r.sealer.Seal(key, text), asked.Add(lifetime).UnixMilli()
	_ = r.conn.Do(ctx, func(ctx context.Context, p redis.Pipeliner) error { // best effort: without it the others ask themselves
		return p.Do(ctx, "set", key, sealed, "pxat", ends).Err()
	})
}

// Drop implements [Shared].
func (r *Redis) Drop(ctx context.Context, hash [32]byte) {
	_ = r.conn.Do(ctx, func(ctx context.Context, p redis.Pipeliner) error { // best effort: what stays ends by itself
		return p.Del(ctx, r.key(hash)).Err()
	})
}

func (r *Redis) key(hash [32]byte) string { return r.conn.Key("identity", hex.EncodeToString(hash[:])) }
