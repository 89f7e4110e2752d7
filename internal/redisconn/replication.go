package redisconn

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// Unguarded returns the addresses of the primaries that have replicas and go on taking
// writes when they lose them: without min-replicas-to-write a primary that is cut off is
// written on, beside the replica that was promoted in its place. It asks each primary of a
// cluster. It goes by INFO replication, which shows min_slaves_good_slaves where
// min-replicas-to-write and min-replicas-max-lag are both set. An error is Redis's own, or
// ctx's. It passes by the breaker: it is for a command that checks, not for requests.
func (c *Conn) Unguarded(ctx context.Context) ([]string, error) {
	var mu sync.Mutex
	var unguarded []string
	look := func(ctx context.Context, node redis.Cmdable, addr string) error {
		info, err := node.Info(ctx, "replication").Result()
		if err != nil {
			return fmt.Errorf("reading INFO replication: %s", c.redact(err.Error()))
		}
		if replicas, guarded := readReplication(info); replicas > 0 && !guarded {
			mu.Lock()
			defer mu.Unlock()
			unguarded = append(unguarded, addr)
		}
		return nil
	}
	if cluster, ok := c.client.(*redis.ClusterClient); ok {
		err := cluster.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error {
			return look(ctx, node, node.Options().Addr)
		})
		return unguarded, err
	}
	return unguarded, look(ctx, c.client, c.addr)
}

// readReplication reads the answer to INFO replication.
func readReplication(info string) (replicas int, guarded bool) {
	for line := range strings.Lines(info) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		switch name {
		case "connected_slaves":
			replicas, _ = strconv.Atoi(value) // what is no number is no replica
		case "min_slaves_good_slaves":
			guarded = true
		}
	}
	return replicas, guarded
}
