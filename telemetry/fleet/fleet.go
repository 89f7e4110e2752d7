// Package fleet lets the replicas of a gateway see each other on the operator's page:
// each one writes a small record of itself to Redis, which expires.
//
// Only the page and osgate top read the records. A
// replica that ends without a farewell disappears with its record, and without Redis
// each replica shows only itself.
package fleet

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"osgate/internal/redisconn"
)

const (
	// Interval is how often a replica writes its record.
	Interval = 5 * time.Second
	// life is how long Redis keeps a record: three may fail to be written.
	life = 4 * Interval
	// MaxReplicas is the number of records that are listed; of more replicas those that
	// wrote last.
	MaxReplicas = 64
	// maxRecord is the size in bytes of the largest record that is read.
	maxRecord = 4 << 10
)

// Record is the report of one replica about itself.
type Record struct {
	ID        string    `json:"id"`   // of the process, random
	Host      string    `json:"host"` // name of its machine, pod or container
	Version   string    `json:"version"`
	Status    string    `json:"status"` // as in /readyz
	Start     time.Time `json:"start"`  // of the process
	Time      time.Time `json:"time"`   // when the record was written, by the replica's clock
	PerSecond float64   `json:"perSecond"`
	// HitRatio is the share of cacheable reads of the last minute that the cache
	// answered; nil without such reads.
	HitRatio *float64 `json:"hitRatio,omitempty"`
	Refused  int64    `json:"refused"` // in the last minute
	Failed   int64    `json:"failed"`  // the same
}

// Fleet is the answer of /api/fleet.
type Fleet struct {
	Self     string   `json:"self"`     // ID of the replica that answers
	Replicas []Record `json:"replicas"` // by host and id; never without Self
	// Shared reports that replicas see each other: there is a Redis.
	Shared bool `json:"shared"`
	// Problem is why replicas other than Self are missing; empty if they are not.
	Problem string `json:"problem,omitempty"`
}

// Roster keeps the records in Redis: each under a key of its own, and a sorted set of
// the ids by the time of their last record. All keys have one hash tag.
type Roster struct{ conn *redisconn.Conn }

// NewRoster returns the roster of the replicas that use conn's Redis and prefix. It does
// not close conn.
func NewRoster(conn *redisconn.Conn) *Roster { return &Roster{conn} }

const (
	kind = "fleet"
	tag  = "replicas"
)

func (r *Roster) index() string { return r.conn.Key(kind, tag) }

func (r *Roster) key(id string) string { return r.conn.Key(kind, tag, id) }

// Report writes the record of a replica. The error wraps [redisconn.ErrDown] if Redis
// does not answer.
func (r *Roster) Report(ctx context.Context, record Record) error {
	text, err := json.Marshal(record)
	if err != nil {
		return fmt.Errorf("encoding the record: %w", err)
	}
	return r.do(ctx, func(p redis.Pipeliner) {
		p.Set(ctx, r.key(record.ID), text, life)
		p.ZAdd(ctx, r.index(), redis.Z{Score: float64(record.Time.UnixMilli()), Member: record.ID})
		p.ZRemRangeByRank(ctx, r.index(), 0, -MaxReplicas-1)
		p.PExpire(ctx, r.index(), life)
	})
}

// Leave removes the record of a replica that ends.
func (r *Roster) Leave(ctx context.Context, id string) error {
	return r.do(ctx, func(p redis.Pipeliner) { p.Del(ctx, r.key(id)) }) // the index lists only records that exist
}

// List returns the records that have not expired, sorted by host and id.
func (r *Roster) List(ctx context.Context) ([]Record, error) {
	var ids *redis.StringSliceCmd
	err := r.do(ctx, func(p redis.Pipeliner) {
		ids = p.ZRevRangeByScore(ctx, r.index(), &redis.ZRangeBy{Min: "-inf", Max: "+inf", Count: MaxReplicas})
	})
	if err != nil || len(ids.Val()) == 0 {
		return nil, err
	}
	var values *redis.SliceCmd
	err = r.do(ctx, func(p redis.Pipeliner) {
		keys := make([]string, 0, len(ids.Val()))
		for _, id := range ids.Val() {
			keys = append(keys, r.key(id))
		}
		values = p.MGet(ctx, keys...)
	})
	if err != nil {
		return nil, err
	}
	return decode(values.Val()), nil
}

// decode returns the records in values. It leaves out expired and malformed ones.
func decode(values []any) []Record {
	all := make([]Record, 0, len(values))
	for _, value := range values {
		text, _ := value.(string) // nil: it has expired
		var record Record
		if len(text) <= maxRecord && json.Unmarshal([]byte(text), &record) == nil {
			all = append(all, record)
		}
	}
	Sort(all)
	return all
}

// Sort sorts records by host and id.
func Sort(all []Record) {
	slices.SortFunc(all, func(a, b Record) int {
		return cmp.Or(strings.Compare(a.Host, b.Host), strings.Compare(a.ID, b.ID))
	})
}

// do makes one round trip. An error of one of its commands, such as a missing right, is
// an error of the whole.
func (r *Roster) do(ctx context.Context, queue func(redis.Pipeliner)) error {
	var cmds []redis.Cmder
	err := r.conn.Do(ctx, func(_ context.Context, p redis.Pipeliner) error {
		queue(p)
		cmds = p.Cmds()
		return nil
	})
	if err != nil {
		return fmt.Errorf("reaching the roster of replicas: %w", err)
	}
	for _, cmd := range cmds {
		if err := cmd.Err(); err != nil && !errors.Is(err, redis.Nil) {
			return fmt.Errorf("using the roster of replicas: %w", err)
		}
	}
	return nil
}
