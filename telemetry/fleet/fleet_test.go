package fleet_test

import (
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"osgate/internal/redisconn"
	"osgate/internal/redisconn/redistest"
	"osgate/telemetry/fleet"
)

func roster(t *testing.T, url string) *fleet.Roster {
	t.Helper()
	conn, err := redisconn.Open(redisconn.Options{URL: url, Timeout: time.Minute, Prefix: "osgate"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return fleet.NewRoster(conn)
}

func record(id, host string) fleet.Record {
	at := time.Now().UTC().Truncate(time.Millisecond)
	return fleet.Record{ID: id, Host: host, Version: "v1", Status: "ready", Start: at, Time: at, PerSecond: 2.5, HitRatio: new(0.5)}
}

func report(t *testing.T, r *fleet.Roster, records ...fleet.Record) {
	t.Helper()
	for _, one := range records {
		if err := r.Report(t.Context(), one); err != nil {
			t.Fatal(err)
		}
	}
}

func list(t *testing.T, r *fleet.Roster) []fleet.Record {
	t.Helper()
	all, err := r.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestReplicasSeeEachOther(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	one, two := roster(t, server.URL()), roster(t, server.URL())
	if all := list(t, one); len(all) != 0 {
		t.Errorf("before the first report: %v", all)
	}
	a, b := record("id-a", "pod-b"), record("id-b", "pod-a")
	report(t, one, a)
	report(t, two, b)
	if diff := cmp.Diff([]fleet.Record{b, a}, list(t, one)); diff != "" {
		t.Errorf("by host (-want +got):\n%s", diff)
	}
	a.Status = "draining"
	report(t, one, a)
	if diff := cmp.Diff([]fleet.Record{b, a}, list(t, two)); diff != "" {
		t.Errorf("after a change (-want +got):\n%s", diff)
	}
	if err := one.Leave(t.Context(), "id-a"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]fleet.Record{b}, list(t, two)); diff != "" {
		t.Errorf("after a farewell (-want +got):\n%s", diff)
	}
}

// TestRecordsExpire: Redis itself drops each key of the roster.
func TestRecordsExpire(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	report(t, roster(t, server.URL()), record("id-a", "pod"))
	for _, key := range []string{"osgate:fleet:{replicas}", "osgate:fleet:{replicas}:id-a"} {
		ms, err := strconv.Atoi(server.Do("PTTL", key))
		if err != nil || ms <= 0 || ms > 20_000 {
			t.Errorf("%s lives %d ms, %v; want at most 20 s", key, ms, err)
		}
	}
}

func TestRosterIsBoundedAndTrustsNoValue(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	r := roster(t, server.URL())
	for i := range fleet.MaxReplicas + 6 {
		one := record(fmt.Sprintf("id-%03d", i), "pod")
		one.Time = one.Time.Add(time.Duration(i) * time.Second)
		report(t, r, one)
	}
	all := list(t, r)
	if len(all) != fleet.MaxReplicas || all[0].ID != "id-006" {
		t.Errorf("%d records, the first is %+v; want the %d that wrote last", len(all), all[0], fleet.MaxReplicas)
	}
	if n := server.Do("ZCARD", "osgate:fleet:{replicas}"); n != strconv.Itoa(fleet.MaxReplicas) {
		t.Errorf("the index holds %s ids", n)
	}
	server.Do("SET", "osgate:fleet:{replicas}:id-006", "no JSON")
	server.Do("SET", "osgate:fleet:{replicas}:id-007", `{"id":"`+string(make([]byte, 5_000))+`"}`)
	if all := list(t, r); len(all) != fleet.MaxReplicas-2 {
		t.Errorf("%d records, want those that can be read", len(all))
	}
}

func TestRosterWithoutRedis(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	r := roster(t, server.URL())
	server.Stop()
	if err := r.Report(t.Context(), record("id-a", "pod")); !errors.Is(err, redisconn.ErrDown) {
		t.Errorf("report: %v, want ErrDown", err)
	}
	if _, err := r.List(t.Context()); !errors.Is(err, redisconn.ErrDown) {
		t.Errorf("list: %v, want ErrDown", err)
	}
	server.Restart()
	server.Do("SET", "osgate:fleet:{replicas}", "of another type")
	if err := r.Report(t.Context(), record("id-a", "pod")); err == nil {
		t.Error("an error reply of Redis is no error")
	}
}
