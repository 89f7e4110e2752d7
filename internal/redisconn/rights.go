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
	// rightsInterval is how often Run looks at the user's rights. It looks once a second
	// while a right is lacking, or a command was refused.
	rightsInterval = 10 * time.Second
	// rightsTimeout bounds such a look.
	rightsTimeout = time.Second
)

// use is a command that serving uses, with arguments that do nothing to a key that
// holds a string. What its answer is does not matter, only that the user may send it.
type use struct {
	name string
	args []any
}

// uses lists each command that serving uses, in scripts and out of them. ACLs are the
// same for both.
func uses(key string) []use {
	return []use{
		{"set", []any{key, "", "px", 1000}}, // first: the others find a string
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
	}
}

// connecting lists the commands that the client library sends for itself: cluster|slots
// and asking to the nodes of a cluster alone.
var connecting = []string{"auth", "hello", "select", "cluster|slots", "asking"}

// Rights returns the rules of ACL SETUSER that a user needs whose keys begin with
// prefix, on one server and in a cluster.
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

// Lacking returns what of [Rights] the user of the URL lacks, by trying it on every
// primary: names of commands, or "keys" where the user may not touch keys that begin
// with the prefix. What it writes is a key that expires within a second. It passes by
// the breaker. An error says that Redis did not answer, or is ctx's.
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
	if denied(err) { // the nodes of the cluster could not be found
		lacking, err = append(lacking, refusedName(err, "cluster|slots")), nil
	}
	if err != nil {
		return nil, fmt.Errorf("trying commands: %s", c.describe(err))
	}
	slices.Sort(lacking)
	return slices.Compact(lacking), nil
}

// tryAll tries all uses on a node, in one round trip, and returns what is refused.
func (c *Conn) tryAll(ctx context.Context, node redis.Cmdable) (refused []string, err error) {
	p := node.Pipeline()
	all := uses(c.Key("probe", "rights"))
	cmds := make([]*redis.Cmd, len(all))
	for i, u := range all {
		cmds[i] = p.Do(ctx, append([]any{u.name}, u.args...)...)
	}
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

// scriptDenials are how error replies begin that mean NOPERM of a command in a script:
// those of Redis 7.0, and of later versions.
var scriptDenials = []string{"ERR The user executing the script can't ", "ERR ACL failure in script"}

// denied reports whether err is Redis's answer that the user lacks a right. Redis is
// not away then: it goes on answering so until somebody changes the rights.
func denied(err error) bool {
	reply, ok := errors.AsType[redis.Error](err)
	if !ok {
		return false
	}
	return code(reply) == "NOPERM" ||
		slices.ContainsFunc(scriptDenials, func(begin string) bool { return strings.HasPrefix(reply.Error(), begin) })
}

var refusedCommand = regexp.MustCompile(`run the '([a-z0-9_|-]+)' command`)

// refusedName returns what was refused. sent is the command that was sent; the reply
// names another one where the connection could not be made.
func refusedName(err error, sent string) string {
	if found := refusedCommand.FindStringSubmatch(err.Error()); found != nil {
		return found[1]
	}
	if strings.Contains(err.Error(), "key") {
		return "keys"
	}
	return sent
}

// watchRights looks at the rights where that is due, and reports a change.
func (c *Conn) watchRights(ctx context.Context, now time.Time) {
	if c.onRights == nil || !c.suspected.Swap(false) && now.Before(c.rightsDue) {
		return
	}
	c.rightsDue = now.Add(rightsInterval)
	within, cancel := context.WithTimeout(ctx, rightsTimeout)
	defer cancel()
	lacking, err := c.Lacking(within)
	if err != nil {
		c.suspected.Store(ctx.Err() == nil) // not known: look again soon
		return
	}
	text := strings.Join(lacking, ", ")
	c.mu.Lock()
	changed := c.state.Denied != text
	c.state.Denied = text
	c.mu.Unlock()
	c.suspected.Store(text != "") // somebody may grant it
	if changed {
		c.onRights(text)
	}
}
