package redisconn

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// Unguarded returns the addresses of the primaries that have replicas and continue to
// accept writes when they lose them: without min-replicas-to-write, a primary that is
// cut off still accepts writes, at the same time as the replica that was promoted in
// its place. It checks each primary of a cluster, by INFO replication, which contains
// min_slaves_good_slaves if min-replicas-to-write and min-replicas-max-lag are both
// set. An error is Redis's own, or ctx's. It bypasses the breaker: it is for a command
// that checks the configuration, not for requests.
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

// readReplication parses the answer to INFO replication.
func readReplication(info string) (replicas int, guarded bool) {
	for line := range strings.Lines(info) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		switch name {
		case "connected_slaves":
			replicas, _ = strconv.Atoi(value) // a value that is not a number counts as 0
		case "min_slaves_good_slaves":
			guarded = true
		}
	}
	return replicas, guarded
}
