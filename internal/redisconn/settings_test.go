package redisconn

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

var off = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}

func TestURLSaysWhichFormOfRedisItIs(t *testing.T) {
	const timeout = 50 * time.Millisecond
	single := func(change func(*redis.Options)) settings {
		o := &redis.Options{
			Network: "tcp", Addr: "h:6379", ContextTimeoutEnabled: true, Protocol: 2, MaxRetries: -1, DialerRetries: 1,
			DialTimeout: time.Second, ReadTimeout: timeout, WriteTimeout: timeout, PoolTimeout: timeout,
			PoolSize: 128, PipelinePoolSize: -1, DisableIdentity: true, MaintNotificationsConfig: off,
		}
		change(o)
		return settings{single: o}
	}
	tests := map[string]settings{
		"redis://h":              single(func(*redis.Options) {}),
		"redis://u:p@h:7000/3":   single(func(o *redis.Options) { o.Addr, o.Username, o.Password, o.DB = "h:7000", "u", "p", 3 }),
		"unix:///run/redis?db=1": single(func(o *redis.Options) { o.Network, o.Addr, o.DB = "unix", "/run/redis", 1 }),
		"redis://h?pool_size=7&pipeline_pool_size=8&protocol=3":                                                     single(func(o *redis.Options) { o.PoolSize, o.PipelinePoolSize, o.Protocol = 7, 8, 3 }),
		"redis://h?read_timeout=9ms&dial_timeout=99ms":                                                              single(func(o *redis.Options) { o.ReadTimeout, o.DialTimeout = 9*time.Millisecond, 99*time.Millisecond }),
		"redis://h?read_timeout=6s&write_timeout=-1&pool_timeout=1h&dial_timeout=1h&max_retries=2&min_idle_conns=5": single(func(*redis.Options) {}),
		"redis://u:p@h?addr=i:1&addr=j:2": {cluster: &redis.ClusterOptions{
			Addrs: []string{"h:6379", "i:1", "j:2"}, Username: "u", Password: "p", ContextTimeoutEnabled: true, Protocol: 2,
			MaxRetries: -1, MinRetryBackoff: time.Millisecond, MaxRetryBackoff: 8 * time.Millisecond, DialerRetries: 1,
			DialTimeout: time.Second, ReadTimeout: timeout, WriteTimeout: timeout, PoolTimeout: timeout,
			PoolSize: 128, PipelinePoolSize: -1, DisableIdentity: true, MaintNotificationsConfig: off,
		}},
		"redis://u:p@h:1/3?master_name=m&addr=i:2&username=v&password=q": {failover: &redis.FailoverOptions{
			MasterName: "m", SentinelAddrs: []string{"h:1", "i:2"}, SentinelUsername: "u", SentinelPassword: "p",
			Username: "v", Password: "q", DB: 3, ContextTimeoutEnabled: true, Protocol: 2, MaxRetries: -1, DialerRetries: 1,
			DialTimeout: time.Second, ReadTimeout: timeout, WriteTimeout: timeout, PoolTimeout: timeout,
			PoolSize: 128, PipelinePoolSize: -1, DisableIdentity: true,
		}},
	}
	ignored := cmp.Options{
		cmpopts.IgnoreUnexported(redis.Options{}),
		cmpopts.IgnoreFields(settings{}, "secrets"),
		cmp.AllowUnexported(settings{}),
	}
	for rawURL, want := range tests {
		got, err := parse(rawURL, timeout)
		if err != nil {
			t.Errorf("%s: %v", rawURL, err)
			continue
		}
		if diff := cmp.Diff(want, got, ignored); diff != "" {
			t.Errorf("%s (-want +got):\n%s", rawURL, diff)
		}
	}
}

func TestTLSIsAtLeast12InEveryForm(t *testing.T) {
	for _, rawURL := range []string{"rediss://h", "rediss://h?addr=i:1", "rediss://h?master_name=m"} {
		s, err := parse(rawURL, time.Second)
		if err != nil {
			t.Errorf("%s: %v", rawURL, err)
			continue
		}
		var version uint16
		switch {
		case s.single != nil:
			version = s.single.TLSConfig.MinVersion
		case s.cluster != nil:
			version = s.cluster.TLSConfig.MinVersion
		default:
			version = s.failover.TLSConfig.MinVersion
		}
		if version != 0x0303 {
			t.Errorf("%s: minimum TLS version %#x, want 0x0303", rawURL, version)
		}
	}
}

func TestUnusableURLsAreRefused(t *testing.T) {
	tests := map[string]string{
		"":                                          "must begin with",
		"localhost:6379":                            "must begin with",
		"http://h":                                  "must begin with",
		"redis://h:port":                            "not a URL",
		"redis://:pass#word@h":                      "not a URL",
		"redis://h/zero":                            "database number",
		"redis://h/0/1":                             "database number",
		"redis://h?timeout=5s":                      "only parameters",
		"redis://h?read_timeout=soon":               "only parameters",
		"redis://h?addr=nowhere":                    "only parameters",
		"redis://h?master_name=":                    "master_name is empty",
		"redis://h?addr=i:1&read_only=true":         "replicas",
		"redis://h?addr=i:1&route_randomly=1":       "replicas",
		"redis://h?master_name=m&replica_only=true": "replicas",
		"redis://h?master_name=m&route_by_latency=true": "replicas",
		"redis://h?pool_size=99999999999":               "pool size",
		"redis://h?pool_size=-1":                        "pool size",
		"redis://h?addr=i:1&max_active_conns=-1":        "pool size",
		"redis://h?master_name=m&pool_size=1000000":     "pool size",
	}
	for rawURL, want := range tests {
		if _, err := Open(Options{URL: rawURL}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Open(%q): %v, want an error with %q", rawURL, err, want)
		}
	}
}

func TestPrefixThatWouldChooseTheSlotIsRefused(t *testing.T) {
	for _, prefix := range []string{"{a}", "a b", "a\n", "a}"} {
		if _, err := Open(Options{URL: "redis://h", Prefix: prefix}); err == nil {
			t.Errorf("prefix %q: no error", prefix)
		}
	}
}

// FuzzOpenEchoesNothingOfTheURL: for any URL the error is one of a few fixed texts, so
// that it cannot contain a part of the password, wherever that was parsed to.
func FuzzOpenEchoesNothingOfTheURL(f *testing.F) {
	for _, rawURL := range []string{
		"redis://:hunter2@h:x", "redis://:hun/ter2@h", "redis://:hun?ter2@h", "redis://:1?hunter2=3@h", "redis://:1#hunter2@h",
		"redis://h/hunter2", "redis://h?master_name=m&password=hunter2&replica_only=1", "rediss://h?addr=hunter2", "hunter2://h",
		"redis://:%zzhunter2@h", "redis://h?pool_size=hunter2", "redis://h?db=hunter2",
	} {
		f.Add(rawURL)
	}
	texts := map[string]bool{
		"redis URL: not a URL (special characters of a password must be percent-encoded)":                                                        true,
		"redis URL: must begin with redis://, rediss:// or unix://":                                                                              true,
		"redis URL: its path must be a database number, and its query hold only parameters that go-redis knows for this form, with valid values": true,
		"redis URL: master_name is empty": true,
		errReplicaReads.Error():           true,
		errPoolSize.Error():               true,
	}
	f.Fuzz(func(t *testing.T, rawURL string) {
		c, err := Open(Options{URL: rawURL})
		if err == nil {
			c.Close()
			return
		}
		if !texts[err.Error()] {
			t.Errorf("Open(%q): %q is not one of the fixed texts", rawURL, err)
		}
	})
}

func TestOptionsAndConnPrintNoPassword(t *testing.T) {
	o := Options{URL: "redis://user:hunter2@h?master_name=m&password=hunter3"}
	c, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("", "options", o, "conn", c)
	asJSON, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		fmt.Sprintf("%v %+v %#v %s %q", o, o, o, o, o), fmt.Sprintf("%v %+v %#v %s", c, c, c, c), log.String(), string(asJSON),
	} {
		if strings.Contains(text, "hunter") {
			t.Errorf("a password is printed: %s", text)
		}
	}
}

func TestSecretsAreRedactedInEveryEncoding(t *testing.T) {
	s, err := parse("redis://:a%2Fb+c%20d@h?master_name=m&password=x%26y", time.Second)
	if err != nil {
		t.Fatal(err)
	}
	got := s.redact("dial a/b+c d, a%2Fb%2Bc+d, a%2Fb+c%20d, x&y and x%26y")
	if want := "dial [redacted], [redacted], [redacted], [redacted] and [redacted]"; got != want {
		t.Errorf("redacted text = %q, want %q", got, want)
	}
}
