package redisconn_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"osgate/internal/redisconn"
	"osgate/internal/redisconn/redistest"
)

// limited returns the arguments of a redis-server with a user that has the documented
// rights, and as returns the URL with that user.
func limited() []string {
	return append([]string{"--user", "osgate", "on", ">PASSWORD"}, redisconn.Rights("osgate")...)
}

func as(url string) string { return strings.Replace(url, "redis://", "redis://osgate:PASSWORD@", 1) }

func TestTheDocumentedRightsAreThoseThatServingUses(t *testing.T) {
	page, err := os.ReadFile("../../docs/redis.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(page), "ACL SETUSER osgate on >PASSWORD ")
	block, _, _ := strings.Cut(rest, "```")
	if want := redisconn.Rights("osgate"); !found || !slices.Equal(strings.Fields(block), want) {
		t.Errorf("docs/redis.md has the rights\n%s\nwant\n%s", block, strings.Join(want, " "))
	}
}

// TestEveryCommandOfAScriptIsAmongTheRights reads the scripts of this module.
func TestEveryCommandOfAScriptIsAmongTheRights(t *testing.T) {
	rights := redisconn.Rights("osgate")
	call := regexp.MustCompile(`redis\.p?call\(\s*['"](\w+)`)
	scripts := 0
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, "_test.go") || !strings.HasSuffix(path, ".lua") && !strings.HasSuffix(path, ".go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, found := range call.FindAllStringSubmatch(string(text), -1) {
			scripts++
			if name := strings.ToLower(found[1]); !slices.Contains(rights, "+"+name) {
				t.Errorf("%s calls %s, which is no right", path, name)
			}
		}
		return err
	})
	if err != nil || scripts < 20 {
		t.Errorf("%d calls found, %v", scripts, err)
	}
}

// TestLackingNamesEachCommandThatIsRefused, one after the other.
func TestLackingNamesEachCommandThatIsRefused(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, limited()...)
	c, _ := open(t, as(s.URL()))
	lacks := func(want ...string) {
		t.Helper()
		if got, err := c.Lacking(t.Context()); err != nil || !slices.Equal(got, want) {
			t.Errorf("lacking %q, %v; want %q", got, err, want)
		}
	}
	lacks()
	for _, rule := range redisconn.Rights("osgate")[3:] {
		name := rule[1:]
		switch name {
		case "auth", "hello", "select", "cluster|slots", "asking":
			continue // a command of connecting
		}
		s.Do("ACL", "SETUSER", "osgate", "-"+name)
		lacks(name)
		s.Do("ACL", "SETUSER", "osgate", "+"+name)
	}
	s.Do("ACL", "SETUSER", "osgate", "-pexpire", "-zrevrangebyscore")
	lacks("pexpire", "zrevrangebyscore")
	s.Do("ACL", "SETUSER", "osgate", "resetkeys", "~other:*")
	lacks("keys", "pexpire", "zrevrangebyscore")
	if left := s.Do("DBSIZE"); left != "0" && left != "1" {
		t.Errorf("trying left %s keys", left)
	}
}

func TestLackingAsksEachPrimaryOfACluster(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, limited()...)
	c, _ := open(t, as(cluster.URL()))
	if got, err := c.Lacking(t.Context()); err != nil || len(got) > 0 {
		t.Errorf("lacking %q, %v; want nothing", got, err)
	}
	for i := range redistest.Nodes {
		if refused := cluster.Node(i).Do("ACL", "LOG"); refused != "0" {
			t.Errorf("node %d refused %s commands", i, refused)
		}
	}
	cluster.Node(1).Do("ACL", "SETUSER", "osgate", "-hset")
	if got, err := c.Lacking(t.Context()); err != nil || !slices.Equal(got, []string{"hset"}) {
		t.Errorf("lacking %q, %v; want hset, which one node refuses", got, err)
	}
	for i := range redistest.Nodes {
		cluster.Node(i).Do("ACL", "SETUSER", "osgate", "-cluster|slots")
	}
	late, _ := open(t, as(cluster.URL()))
	if got, err := late.Lacking(t.Context()); err != nil || !slices.Equal(got, []string{"cluster|slots"}) {
		t.Errorf("lacking %q, %v; want cluster|slots", got, err)
	}
}

// TestALackOfRightsIsNoOutageThatComesAndGoes: requests are refused, in a script too,
// while probes succeed. State names the missing right until it is granted.
func TestALackOfRightsIsNoOutageThatComesAndGoes(t *testing.T) {
	script := redis.NewScript(`return redis.call("HSET", KEYS[1], "f", "v")`)
	for lacking, request := range map[string]func(context.Context, *redisconn.Conn) error{
		"evalsha": func(ctx context.Context, c *redisconn.Conn) error {
			return script.Run(ctx, c.Scripter(), []string{c.Key("test", "k")}).Err()
		},
		"hset": func(ctx context.Context, c *redisconn.Conn) error {
			return script.Run(ctx, c.Scripter(), []string{c.Key("test", "k")}).Err()
		},
		"get": func(ctx context.Context, c *redisconn.Conn) error {
			return c.Do(ctx, func(ctx context.Context, p redis.Pipeliner) error {
				p.Get(ctx, c.Key("test", "s"))
				return nil
			})
		},
	} {
		t.Run(lacking, func(t *testing.T) {
			t.Parallel()
			s := redistest.Start(t, limited()...)
			told := make(chan string, 100)
			c, changes := openWith(t, redisconn.Options{URL: as(s.URL()), Timeout: patience, OnRights: func(denied string) { told <- denied }})
			if err := request(t.Context(), c); err != nil {
				t.Fatalf("with all rights: %v", err)
			}
			s.Do("ACL", "SETUSER", "osgate", "-"+lacking)
			for range 3 {
				for range 10 {
					if err := request(t.Context(), c); !errors.Is(err, redisconn.ErrDown) {
						t.Fatalf("a request without the right returned %v, want ErrDown", err)
					}
				}
				if err := c.Ping(t.Context()); err != nil {
					t.Fatalf("a probe: %v", err)
				}
			}
			running, stop := context.WithCancel(t.Context())
			over := make(chan struct{})
			go func() { defer close(over); _ = c.Run(running) }()
			defer func() { stop(); <-over }()
			wantTold(t, told, lacking)
			if got := c.State(); !got.OK || got.Denied != lacking {
				t.Errorf("the state is %+v, want that %s is denied", got, lacking)
			}
			s.Do("ACL", "SETUSER", "osgate", "+"+lacking)
			wantTold(t, told, "")
			if err := request(t.Context(), c); err != nil {
				t.Errorf("with the right again: %v", err)
			}
			if len(changes) > 0 {
				t.Errorf("the state changed to %+v, want no change", <-changes)
			}
		})
	}
}

func wantTold(t *testing.T, told <-chan string, want string) {
	t.Helper()
	select {
	case got := <-told:
		if got != want {
			t.Fatalf("told that %q is denied, want %q", got, want)
		}
	case <-time.After(patience):
		t.Fatalf("not told that %q is denied", want)
	}
}
