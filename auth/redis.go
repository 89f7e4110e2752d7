package auth

import (
	"context"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"osgate/internal/redisconn"
	"osgate/internal/seal"
)

// maxShared bounds in bytes what is kept of one identity in Redis; larger ones are known in process only.
const maxShared = 1 << 20

// Redis keeps identities in Redis, sealed: whoever reads or writes it learns nothing and can forge nothing, and what lies under one hash opens under no
// other. It implements [Shared] and is safe for concurrent use. Each call is one round trip with the bounds of [redisconn.Conn]; trouble of any kind is a
// miss. Redis 6.2 or later.
type Redis struct {
	conn   *redisconn.Conn
	sealer *seal.Sealer
	look   *redis.Script
}

//go:embed look.lua
var lookLua string

// NewRedis returns a Redis over conn, or an error for a secret that is shorter than 32 bytes.
func NewRedis(conn *redisconn.Conn, secret []byte) (*Redis, error) {
	sealer, err := seal.New(secret, "identities")
	if err != nil {
		return nil, fmt.Errorf("making the seal of identities: %w", err)
	}
	return &Redis{conn: conn, sealer: sealer, look: redis.NewScript(lookLua)}, nil
}

// entry is an identity as it is sealed.
type entry struct {
	Lifetime  int64     `json:"lifetime"` // milliseconds from the asking to when Redis drops it
	Principal Principal `json:"principal"`
}

// Get implements [Shared]. The age is what of the entry's lifetime is over by Redis's own clock, so that neither the clocks of gateways nor the time on
// the way can make an identity look younger than it is.
func (r *Redis) Get(ctx context.Context, hash [32]byte) Found {
	key := r.key(hash)
	reply, err := r.look.Run(ctx, r.conn.Scripter(), []string{key}).Slice()
	if err != nil || len(reply) != 4 {
		return Found{}
	}
	sealed, _ := reply[0].(string)
	left, _ := reply[1].(int64)
	found := Found{Clock: clock(reply[2], reply[3])}
	text, err := r.sealer.Open(key, []byte(sealed))
	if err != nil || left <= 0 {
		return found
	}
	var e entry
	if json.Unmarshal(text, &e) != nil || e.Lifetime < left {
		return found
	}
	found.Principal = &e.Principal
	found.Age = time.Duration(e.Lifetime-left+1) * time.Millisecond // both sides were cut to whole milliseconds
	return found
}

// clock reads the reply of TIME; zero: it is none.
func clock(seconds, micros any) time.Time {
	s, errS := strconv.ParseInt(fmt.Sprint(seconds), 10, 64)
	us, errUS := strconv.ParseInt(fmt.Sprint(micros), 10, 64)
	if errS != nil || errUS != nil {
		return time.Time{}
	}
	return time.Unix(s, us*int64(time.Microsecond))
}

// Put implements [Shared]. It names the instant when the entry ends, not a time to live: a command that Redis gets to late, as after a pause, makes
// nothing live longer.
func (r *Redis) Put(ctx context.Context, hash [32]byte, p *Principal, asked time.Time, lifetime time.Duration) {
	key := r.key(hash)
	e := entry{Lifetime: lifetime.Milliseconds(), Principal: *p}
	text, err := json.Marshal(e)
	if err != nil || len(text) > maxShared || e.Lifetime <= 0 {
		return
	}
	sealed, ends := r.sealer.Seal(key, text), asked.UnixMilli()+e.Lifetime
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
