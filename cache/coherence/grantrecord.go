package coherence

import (
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"sync/atomic"
	"time"

	"osgate/internal/seal"
)

// RedisGrants is [SharedGrants] in the Redis of a [Redis], whose
// [Redis.Run] must run. Each grant is authenticated for the deployment's
// secret, the token, the target and the id under which it was given. It contains when
// the request was sent upstream and how long the grant lives. So a party that can write
// to Redis cannot forge a grant, use it for another token, or make it younger.
// RedisGrants is safe for concurrent use.
type RedisGrants struct {
	coherence *Redis
	mac       *seal.MAC

	unreadable atomic.Int64
}

var _ SharedGrants = (*RedisGrants)(nil)

// Grants returns the grants in c's Redis. The secret is the deployment's. A secret of
// less than 32 bytes is an error, so that grants are never shared without a secret.
func (c *Redis) Grants(secret []byte) (*RedisGrants, error) {
	mac, err := seal.NewMAC(secret, "cache grants")
	if err != nil {
		return nil, fmt.Errorf("creating the authentication key of grants: %w", err)
	}
	return &RedisGrants{coherence: c, mac: mac}, nil
}

// Unreadable returns the number of grants found in Redis that this deployment did not
// write: forged, moved, damaged, or of another version. Grants of another secret have
// other keys.
func (g *RedisGrants) Unreadable() int64 { return g.unreadable.Load() }

// sharedGrant is the part of a grant that Redis stores after its id. Digits is the time
// of the request by Redis's clock, in a form that grant.lua can compare. Rest is for
// gateways only: the time of the request by the gateway's clock and the life, in
// microseconds, and the tag over all of it.
type sharedGrant struct{ digits, rest string }

const (
	grantDigits = 16 // of an instant, as in grant.lua
	grantRest   = 8 + 8 + seal.TagBytes
)

// seal makes the grant that will be stored at a key, under an id.
func (g *RedisGrants) seal(key string, id ID, issue seal.Issue) sharedGrant {
	s := sharedGrant{digits: fmt.Sprintf("%0*d", grantDigits, issue.Placed.UnixMicro())}
	b := binary.BigEndian.AppendUint64(make([]byte, 0, grantRest), uint64(issue.Made.UnixMicro()))
	b = binary.BigEndian.AppendUint64(b, uint64(issue.Life.Microseconds()))
	tag := g.mac.Tag(key, string(id[:])+s.digits+string(b))
	s.rest = string(append(b, tag[:]...))
	return s
}

// open parses the grant that is stored at a key, under an id. Ok is false unless seal
// made exactly this grant for exactly this key and id.
func (g *RedisGrants) open(key string, id ID, grant string) (issue seal.Issue, ok bool) {
	if len(grant) != grantDigits+grantRest {
		return issue, false
	}
	text, tag := grant[:len(grant)-seal.TagBytes], grant[len(grant)-seal.TagBytes:]
	if !g.mac.Valid(key, string(id[:])+text, tag) {
		return issue, false
	}
	placed, err := strconv.ParseInt(text[:grantDigits], 10, 64)
	numbers := []byte(text[grantDigits:])
	made, life := binary.BigEndian.Uint64(numbers), binary.BigEndian.Uint64(numbers[8:])
	return seal.Issue{
		Placed: time.UnixMicro(placed), Made: time.UnixMicro(int64(made)), Life: time.Duration(life) * time.Microsecond,
	}, err == nil
}

// Format prints a fixed text for every verb: a RedisGrants contains a key.
func (*RedisGrants) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[redacted]") }

// LogValue is Format, for slog.
func (*RedisGrants) LogValue() slog.Value { return slog.StringValue("[redacted]") }
