package e2e

import (
	"net/http"
	"os"
	"strings"
	"testing"

	"osgate/internal/redisconn/redistest"
)

// redisPassword is the password of the user that docs/redis.md documents.
const redisPassword = "e2e-redis-password"

// documentedUserArguments returns the arguments of a redis-server with the user that
// docs/redis.md documents. Every stack with a Redis runs as that user.
func documentedUserArguments(t testing.TB) []string {
	t.Helper()
	page, err := os.ReadFile("../docs/redis.md")
	if err != nil {
		t.Fatal(err)
	}
	const begin = "ACL SETUSER osgate on >PASSWORD "
	_, rest, found := strings.Cut(string(page), begin)
	rules, _, ended := strings.Cut(rest, "```")
	if !found || !ended {
		t.Fatalf("docs/redis.md has no %q", begin)
	}
	return append([]string{"--user", "osgate", "on", ">" + redisPassword}, strings.Fields(rules)...)
}

func asDocumentedUser(url string) string {
	return strings.Replace(url, "redis://", "redis://osgate:"+redisPassword+"@", 1)
}

// checkNoRefusedCommands fails the test if the server, which may have ended, refused a
// command.
func (r *redis) checkNoRefusedCommands() {
	if first, err := r.command("ACL LOG"); err == nil && first != "*0" {
		r.t.Errorf("Redis refused commands of the documented user: ACL LOG has %s", first)
	}
}

// restrictedRedis starts a Redis of a form with the documented user, and returns its
// nodes too.
var restrictedRedis = map[string]func(t *testing.T) (url string, nodes []*redistest.Server){
	"one server": func(t *testing.T) (string, []*redistest.Server) {
		t.Helper()
		s := redistest.Start(t, documentedUserArguments(t)...)
		return asDocumentedUser(s.URL()), []*redistest.Server{s}
	},
	"cluster": func(t *testing.T) (string, []*redistest.Server) {
		t.Helper()
		c := redistest.StartCluster(t, append(documentedUserArguments(t), "--cluster-node-timeout", "60000")...) // none is lost
		return asDocumentedUser(c.URL()), []*redistest.Server{c.Node(0), c.Node(1), c.Node(2)}
	},
}

// TestDocumentedRedisPermissionsAreSufficient for all commands of two gateways, also in
// a cluster.
func TestDocumentedRedisPermissionsAreSufficient(t *testing.T) {
	t.Parallel()
	for name, start := range restrictedRedis {
		for _, algorithm := range []string{"gcra", "window"} {
			t.Run(name+" "+algorithm, func(t *testing.T) {
				t.Parallel()
				address, nodes := start(t)
				s := newStack(t, false)
				settings := []string{
					"REDIS_URL=" + address, "REDIS_TIMEOUT=" + longRedisTimeout, "RATE_ALGORITHM=" + algorithm, "RATE=1000", "RATE_BURST=1000", "BUDGET=1000",
					"SECRET=MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
				}
				runOsgate(t, append(settings, "UPSTREAM_OVERRIDE="+s.emulator.url), "check").checkOutput(t, 0, "permits every command")
				for _, g := range s.gateways(2, settings...) {
					useAllOfRedis(t, g)
				}
				for i, node := range nodes {
					if refused := node.Do("ACL", "LOG"); refused != "0" {
						t.Errorf("node %d refused %s commands", i, refused)
					}
				}
			})
		}
	}
}

// useAllOfRedis sends requests through g that use all of Redis: it reads, writes, lists
// and deletes, also with confirmable operations, lets a token be refused and one be
// revoked, purges the cache, and waits for the statistics.
func useAllOfRedis(t *testing.T, g *gateway) {
	t.Helper()
	c := g.as("app-one")
	for range 3 {
		c.put("KeyOne", "v").succeeded()
		for range 3 {
			c.get(keyOne).is(http.StatusOK)
		}
		c.get(demoKeys).is(http.StatusOK)
		c.get(prodStores).is(http.StatusOK)
	}
	c.get(keyOne + "?confirmable=true")
	c.send(http.MethodDelete, keyOne, "").succeeded()
	admin := client{t: t, base: g.admin}
	admin.send(http.MethodPost, "/cache/purge", `{"all":true}`, "Content-Type: application/json").is(http.StatusOK)
	bad := client{t: t, base: g.url, token: "no-such-token"}
	bad.get(keyOne).is(http.StatusUnauthorized)
	const root = "/api/v1/organizations/org-root"
	eventually(t, "the operations to be counted", func() bool { return total(c.counts(root+lastDayQuery("1hour"))) > 0 })
	for _, list := range []string{"/environments", "/environments/env-prod/regions", "/environments/env-prod/regions/us-east-1/stores"} {
		c.get(root + list + lastDayQuery("1hour")).is(http.StatusOK)
	}
	g.client().revoke(c.token).is(http.StatusOK)
	g.awaitDegraded(t, false)
}

// TestMissingRedisPermissionIsNamedInReadiness: /readyz and check name the missing
// permission. It is not an outage that begins and ends again and again: requests are
// served as without Redis. The report ends when the permission is granted.
func TestMissingRedisPermissionIsNamedInReadiness(t *testing.T) {
	t.Parallel()
	for name, missing := range map[string][]string{
		"scripts":  {"eval", "evalsha"},
		"listings": {"zrevrangebyscore"},
		"leases":   {"pexpire"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t, documentedUserArguments(t)...)
			for _, command := range missing {
				server.Do("ACL", "SETUSER", "osgate", "-"+command)
			}
			s := newStack(t, false)
			address := "REDIS_URL=" + asDocumentedUser(server.URL())
			runOsgate(t, []string{"UPSTREAM_OVERRIDE=" + s.emulator.url, address}, "check").checkOutput(t, 1, append(missing, "does not permit")...)
			g := s.gateway(address, "REDIS_TIMEOUT="+longRedisTimeout, "RATE=1000", "RATE_BURST=1000")
			c := g.as("app-one")
			for range 20 {
				c.put("KeyOne", "v").succeeded()
				c.get(keyOne).is(http.StatusOK)
			}
			ready := client{t: t, base: g.admin}
			eventually(t, "readiness to name the commands", func() bool {
				body := ready.get("/readyz").is(http.StatusOK).body
				return strings.Contains(body, "redis rights") && strings.Contains(body, strings.Join(missing, ", "))
			})
			if g.redisOutages() > 0 {
				t.Errorf("a missing right counts as an outage:\n%s", strings.Join(g.linesNotOfExchanges(), ""))
			}
			for _, command := range missing {
				server.Do("ACL", "SETUSER", "osgate", "+"+command)
			}
			eventually(t, "readiness to have no such reason", func() bool {
				return !strings.Contains(ready.get("/readyz").is(http.StatusOK).body, "redis rights")
			})
			runOsgate(t, []string{"UPSTREAM_OVERRIDE=" + s.emulator.url, address}, "check").checkOutput(t, 0, "permits every command")
		})
	}
}
