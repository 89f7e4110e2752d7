package stats_test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"osgate/internal/redisconn/redistest"
	"osgate/record"
	"osgate/stats"
)

func client(t *testing.T, server *redistest.Server) *redis.Client {
	t.Helper()
	c := redis.NewClient(&redis.Options{Addr: server.Addr()})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// TestRedisKeysOfAnOrganizationShareASlot checks every key that counting creates. Each
// has the organization as its hash tag, so that one script may use them all in a
// cluster.
func TestRedisKeysOfAnOrganizationShareASlot(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := openRedis(t, server, time.Minute)
	for _, name := range awkward {
		apply(t, s, batch("p", 1, entry(stats.Scope{Plane: "us", Organization: name, Environment: name, Region: name, Store: name}, noon, 1, 1)))
	}
	keys, err := client(t, server).Keys(t.Context(), "*").Result()
	if err != nil {
		t.Fatal(err)
	}
	tags := make(map[string]int)
	for _, key := range keys {
		_, rest, _ := strings.Cut(key, "{")
		tag, after, found := strings.Cut(rest, "}")
		if !found || tag == "" || strings.ContainsAny(after, "{}") {
			t.Errorf("key %q has no hash tag of its own", key)
		}
		tags[tag]++
	}
	// The list of organizations has its own slot. The others have one sequence, three
	// chunks at each of four levels, and names at three levels.
	if tags["organizations"] != 1 {
		t.Errorf("%d lists of organizations", tags["organizations"])
	}
	delete(tags, "organizations")
	for tag, n := range tags {
		if n != 1+3*4+3 {
			t.Errorf("tag %q has %d keys, want 16", tag, n)
		}
	}
	if len(tags) != len(awkward) {
		t.Errorf("%d tags for %d organizations", len(tags), len(awkward))
	}
}

// TestRedisExpiresAfterRetention checks the time to live of every key: at least the
// retention from now, because the counts are new, and not unlimited.
func TestRedisExpiresAfterRetention(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := openRedis(t, server, time.Minute)
	now := time.Now()
	apply(t, s, batch("p", 1, entry(inStore("a"), now, 1, 1)))
	if err := s.SaveTree(t.Context(), stats.Tree{Plane: "us", Root: "org", Subs: []string{"sub"}}); err != nil {
		t.Fatal(err)
	}
	c := client(t, server)
	keys, err := c.Keys(t.Context(), "*").Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		life, err := c.TTL(t.Context(), key).Result()
		if err != nil {
			t.Fatal(err)
		}
		atLeast := now.AddDate(0, 24, 0)
		switch {
		case strings.Contains(key, ":h:"):
			atLeast = now.AddDate(0, 3, 0)
		case strings.Contains(key, ":d:"):
			atLeast = now.AddDate(0, 12, 0)
		case strings.Contains(key, ":seq:"):
			atLeast = now.AddDate(0, 0, 7)
		}
		if end := now.Add(life); end.Before(atLeast) || end.After(atLeast.AddDate(1, 3, 0)) {
			t.Errorf("%s lives until %v, want at least until %v and not a lot longer", key, end, atLeast)
		}
	}
}

// TestRedisNamesLeaveWithTheirRetention adds to a set that contains a name last seen
// more than 24 months before.
func TestRedisNamesLeaveWithTheirRetention(t *testing.T) {
	t.Parallel()
	s := openRedis(t, redistest.Start(t), time.Minute)
	region := stats.Scope{Plane: "us", Organization: "org", Environment: "env", Region: "us-east-1"}
	apply(t, s, batch("p", 1, entry(inStore("old"), noon.AddDate(0, -25, 0), 1, 0), entry(inStore("kept"), noon.AddDate(0, -24, 0), 1, 0)))
	apply(t, s, batch("p", 2, entry(inStore("new"), noon, 1, 0)))
	if got := strings.Join(names(t, s, region, time.Unix(0, 0)), " "); got != "kept new" {
		t.Errorf("names %q, want kept and new", got)
	}
}

// TestRedisCountsAreStoredWithoutPointers checks the purpose of the layout: a day of
// hours of both measures is one compact list of at most a kilobyte.
func TestRedisCountsAreStoredWithoutPointers(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := openRedis(t, server, time.Minute)
	for i := range 24 {
		apply(t, s, batch("p", uint64(i+1), entry(inStore("a"), noon.Add(time.Duration(i-12)*time.Hour), 123_456_789, 123_456_789)))
	}
	c := client(t, server)
	key := "osgate:stats:{us/org}:h:20240815/env/us-east-1/a"
	encoding, err := c.ObjectEncoding(t.Context(), key).Result()
	if err != nil || encoding != "listpack" {
		t.Errorf("encoding of %s: %q, %v; want listpack", key, encoding, err)
	}
	if size, err := c.MemoryUsage(t.Context(), key).Result(); err != nil || size > 1024 {
		t.Errorf("%s takes %d bytes, %v; want at most 1024", key, size, err)
	}
}

// TestRedisBatchOfDamagedKeyIsNotCountedTwice replaces a hash by a string, so that the
// script fails on it. The batch is reported once and dropped, and the counts that the
// script wrote before it reached the damaged key are counted once.
func TestRedisBatchOfDamagedKeyIsNotCountedTwice(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := openRedis(t, server, time.Minute)
	server.Do("SET", "osgate:stats:{us/org}:h:20240815/env/us-east-1/a", "no hash")
	b := batch("p", 1, entry(inStore("a"), noon, 1, 1))
	if err := s.Apply(t.Context(), []*stats.Batch{b})[0]; err == nil {
		t.Error("a batch on a damaged key was acknowledged at once")
	}
	apply(t, s, b)
	if got := count(t, s, org, stats.Hour, noon); got != 1 {
		t.Errorf("got %d, want 1", got)
	}
}

// TestRedisTreeOfADamagedKeyIsNotSaved replaces the set of a root's sub-organizations by
// a string, which only the command on that key reports.
func TestRedisTreeOfADamagedKeyIsNotSaved(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := openRedis(t, server, time.Minute)
	server.Do("SET", "osgate:stats:{us/root}:subs", "no set")
	err := s.SaveTree(t.Context(), stats.Tree{Plane: "us", Root: "root", Subs: []string{"sub"}})
	if !errors.Is(err, stats.ErrUnavailable) {
		t.Errorf("SaveTree returns %v, want ErrUnavailable", err)
	}
}

// TestRedisScriptIsShort measures how long a full batch keeps Redis busy, because all
// other clients of Redis wait for that time.
func TestRedisScriptIsShort(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := openRedis(t, server, time.Minute)
	for round := range 5 {
		var entries []stats.Entry
		for i := range 100 {
			entries = append(entries, entry(inStore(fmt.Sprintf("APP_some-application-%d__defaultPersistentObjectStore", i)), noon, 1, 1))
		}
		apply(t, s, batch("p", uint64(round+1), entries...))
	}
	info, err := client(t, server).Info(t.Context(), "commandstats").Result()
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(info, "cmdstat_eval:")
	_, rest, _ = strings.Cut(rest, "usec_per_call=")
	text, _, _ := strings.Cut(rest, ",")
	micros, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatalf("no time of EVAL in %s", info)
	}
	t.Logf("a batch of 100 stores takes Redis %.0f µs", micros)
	if micros > 25_000 { // half of a round trip's bound, on a machine busy with other tests
		t.Errorf("a batch of 100 stores takes Redis %.0f µs", micros)
	}
}

// TestQueryCostInRedisIsIndependentOfTheNumberOfStores counts the work of Redis for one
// query of an organization with few stores and with many.
func TestQueryCostInRedisIsIndependentOfTheNumberOfStores(t *testing.T) {
	t.Parallel()
	commands := func(stores int) (n int) {
		server := redistest.Start(t)
		c := stats.New(stats.Options{Store: openRedis(t, server, time.Minute)})
		for i := range stores {
			c.Keep(with(get(noon), func(x *record.Exchange) { x.Store = fmt.Sprint("store-", i) }))
		}
		flush(t, c)
		processed := func() int {
			info := client(t, server).InfoMap(t.Context(), "commandstats").Item("Commandstats", "cmdstat_hmget")
			calls, _, _ := strings.Cut(strings.TrimPrefix(info, "calls="), ",")
			n, _ := strconv.Atoi(calls)
			return n
		}
		before := processed()
		if got := total(t, c, base+"org"+day, noon); got != stores {
			t.Errorf("got %d, want %d", got, stores)
		}
		return processed() - before
	}
	if few, many := commands(10), commands(2000); few != 1 || many != few {
		t.Errorf("a day of hours costs %d commands with 10 stores, %d with 2,000", few, many)
	}
}
