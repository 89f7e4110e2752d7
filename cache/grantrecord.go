package cache

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

// RedisGrants is [SharedGrants] beside the generations of a [RedisCoherence], whose
// [RedisCoherence.Run] must run. Each grant is authenticated for the deployment's
// secret, the token, the place and the id under which it was given, and holds when
// upstream was asked and for how long it counts: whoever writes to Redis can make none,
// pass none off as another's and make none younger. It is safe for concurrent use.
type RedisGrants struct {
	coherence *RedisCoherence
	mac       *seal.MAC

	unreadable atomic.Int64
}

var _ SharedGrants = (*RedisGrants)(nil)

// Grants returns the grants that lie beside c's generations. The secret is the
// deployment's; one of less than 32 bytes is an error, so that without a secret no
// grants are shared.
func (c *RedisCoherence) Grants(secret []byte) (*RedisGrants, error) {
	mac, err := seal.NewMAC(secret, "cache grants")
	if err != nil {
		return nil, fmt.Errorf("making the authentication of grants: %w", err)
	}
	return &RedisGrants{coherence: c, mac: mac}, nil
}

// Unreadable returns how many grants were found in Redis that are none of this
// deployment's: forged, moved, damaged, or of another secret or version.
func (g *RedisGrants) Unreadable() int64 { return g.unreadable.Load() }

// sharedGrant is a grant as it lies in Redis behind its id: in digits, so that
// grant.lua can compare it, the instant of Redis's clock at which upstream was asked;
// and the rest, which only gateways read: the instant by the clock of the gateway and
// the life, in microseconds, and the tag over all.
type sharedGrant struct{ digits, rest string }

const (
	grantDigits = 16 // of an instant, as in grant.lua
	grantRest   = 8 + 8 + seal.TagBytes
)

// seal makes the grant that will lie at a key, under an id.
func (g *RedisGrants) seal(key string, id ID, issue seal.Issue) sharedGrant {
	s := sharedGrant{digits: fmt.Sprintf("%0*d", grantDigits, issue.Placed.UnixMicro())}
	b := binary.BigEndian.AppendUint64(make([]byte, 0, grantRest), uint64(issue.Made.UnixMicro()))
	b = binary.BigEndian.AppendUint64(b, uint64(issue.Life.Microseconds()))
	tag := g.mac.Tag(key, string(id[:])+s.digits+string(b))
	s.rest = string(append(b, tag[:]...))
	return s
}

// open reads what lies at a key behind an id. It is not ok unless seal made just this
// for just there.
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

// Format prints a fixed text, whatever the verb: a RedisGrants holds a key.
func (*RedisGrants) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[redacted]") }

// LogValue is Format, for slog.
func (*RedisGrants) LogValue() slog.Value { return slog.StringValue("[redacted]") }
