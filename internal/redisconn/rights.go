package redisconn

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// rightsInterval is the interval at which Run checks the user's rights. It checks
	// them once a second while a right is missing, or after a command was denied.
	rightsInterval = 10 * time.Second
	// rightsTimeout limits the time of such a check.
	rightsTimeout = time.Second
)

// use is a command that serving uses, with arguments that are harmless for a key that
// holds a string. Its answer does not matter, only whether the user may send it.
type use struct {
	name string
	args []any
}

// uses lists each command that serving uses, in scripts and outside of them. ACLs treat
// both in the same way.
func uses(key string) []use {
	return []use{
		{"set", []any{key, "", "px", 1000}}, // first, so that the others find a string
		{"get", []any{key}},
		{"mget", []any{key}},
		{"expire", []any{key, 1}},
		{"pexpire", []any{key, 1000}},
		{"pexpireat", []any{key, 1 << 42, "lt"}},
		{"pttl", []any{key}},
		{"hget", []any{key, "f"}},
		{"hset", []any{key, "f", "v"}},
		{"hdel", []any{key, "f"}},
		{"hlen", []any{key}},
		{"hmget", []any{key, "f"}},
		{"hgetall", []any{key}},
		{"hincrby", []any{key, "f", 1}},
		{"zadd", []any{key, 1, "m"}},
		{"zremrangebyscore", []any{key, 1, 1}},
		{"zremrangebyrank", []any{key, 0, 0}},
		{"zrevrangebyscore", []any{key, 1, 1}},
		{"sadd", []any{key, "m"}},
		{"smembers", []any{key}},
		{"eval", []any{"return 1", 1, key}},
		{"evalsha", []any{strings.Repeat("0", 40), 1, key}},
		{"time", nil},
		{"info", []any{"replication"}},
		{"del", []any{key}},
		{"exec", nil},
		{"multi", nil}, // last: what follows would wait for EXEC
	}
}

// connecting lists the commands that the client library sends by itself. It sends
// cluster|slots and asking only to the nodes of a cluster.
var connecting = []string{"auth", "hello", "select", "cluster|slots", "asking"}

// Rights returns the ACL SETUSER rules of a user for keys that begin with prefix, on
// one server and in a cluster.
func Rights(prefix string) []string {
	rules := []string{"~" + prefix + ":*", "resetchannels", "-@all"}
	for _, name := range connecting {
		rules = append(rules, "+"+name)
	}
	for _, u := range uses("") {
		rules = append(rules, "+"+u.name)
	}
	return rules
}

// Lacking returns the rights of [Rights] that the user of the URL lacks, by trying the
// commands on every primary: names of commands, or "keys" if the user may not access
// keys that begin with the prefix. It writes a key that expires within a second, and
// bypasses the breaker. An error means that Redis did not answer, or is ctx's.
func (c *Conn) Lacking(ctx context.Context) ([]string, error) {
	var (
		mu      sync.Mutex
		lacking []string
	)
	try := func(ctx context.Context, node redis.Cmdable) error {
		refused, err := c.tryAll(ctx, node)
		mu.Lock()
		defer mu.Unlock()
		lacking = append(lacking, refused...)
		return err
	}
	var err error
	if cluster, ok := c.client.(*redis.ClusterClient); ok {
		err = cluster.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error { return try(ctx, node) })
	} else {
		err = try(ctx, c.client)
	}
	if denied(err) { // the user may not list the cluster's nodes
		lacking, err = append(lacking, refusedName(err, "cluster|slots")), nil
	}
	if err != nil {
		return nil, fmt.Errorf("trying commands: %s", c.describe(err))
	}
	slices.Sort(lacking)
	return slices.Compact(lacking), nil
}

// tryAll tries all uses on a node, in one round trip, and returns the denied ones.
func (c *Conn) tryAll(ctx context.Context, node redis.Cmdable) (refused []string, err error) {
	p := node.Pipeline()
	all := uses(c.Key("probe", "rights"))
	cmds := make([]*redis.Cmd, len(all))
	for i, u := range all {
		cmds[i] = p.Do(ctx, append([]any{u.name}, u.args...)...)
	}
	p.Do(ctx, "exec")  // ends the transaction, also if that is denied
	_, _ = p.Exec(ctx) // each command has its own outcome
	for i, cmd := range cmds {
		err := cmd.Err()
		if _, answered := errors.AsType[redis.Error](err); err != nil && !answered {
			return nil, err
		}
		if denied(err) {
			refused = append(refused, refusedName(err, all[i].name))
		}
	}
	return refused, nil
}

// wrappedDenials are the beginnings of error replies that mean NOPERM: for a command in a
// script, in Redis 7.0 and in later versions, and for EXEC.
var wrappedDenials = []string{
	"ERR The user executing the script can't ", "ERR ACL failure in script",
	"EXECABORT Transaction discarded because of: NOPERM",
}

// denied reports whether err is Redis's reply that the user lacks a right. This is no
// outage: Redis answers so until an operator changes the rights.
func denied(err error) bool {
	reply, ok := errors.AsType[redis.Error](err)
	if !ok {
		return false
	}
	return code(reply) == "NOPERM" ||
		slices.ContainsFunc(wrappedDenials, func(begin string) bool { return strings.HasPrefix(reply.Error(), begin) })
}

var refusedCommand = regexp.MustCompile(`run the '([a-z0-9_|-]+)' command`)

// refusedName returns the name of the denied command, or "keys". sent is the command
// that was sent; the reply names another command if the connection could not be made.
func refusedName(err error, sent string) string {
	if found := refusedCommand.FindStringSubmatch(err.Error()); found != nil {
		return found[1]
	}
	if strings.Contains(err.Error(), "key") {
		return "keys"
	}
	return sent
}
