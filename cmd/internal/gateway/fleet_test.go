package gateway

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"osgate/internal/redisconn/redistest"
	"osgate/telemetry/fleet"
)

// fleetOf reads /api/fleet until done returns true.
func fleetOf(t *testing.T, g *started, done func(fleet.Fleet) bool) fleet.Fleet {
	t.Helper()
	tick, late := time.NewTicker(50*time.Millisecond), time.After(time.Minute)
	defer tick.Stop()
	for {
		status, body := get(t, http.DefaultClient, g.AdminURL()+"/api/fleet", "")
		var f fleet.Fleet
		if err := json.Unmarshal([]byte(body), &f); err != nil || status != http.StatusOK {
			t.Fatalf("fleet %d, %v: %s", status, err, body)
		}
		if done(f) {
			return f
		}
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("the fleet stays %s", body)
		}
	}
}

// TestPageOfAnyReplicaShowsAll, while Redis is there; without it each shows itself.
func TestPageOfAnyReplicaShowsAll(t *testing.T) {
	s := upstream(t, func(*http.Request) {})
	redis := redistest.Start(t)
	variables := []string{"OSGATE_UPSTREAM_OVERRIDE=" + s.URL, "OSGATE_REDIS_URL=" + redis.URL()}
	one, two := start(t, configured(t, variables...)), start(t, configured(t, variables...))
	token := mint(t, http.DefaultClient, one.ClientsURL())
	for range 4 {
		get(t, http.DefaultClient, one.ClientsURL()+key, token)
	}
	f := fleetOf(t, two, func(f fleet.Fleet) bool {
		return len(f.Replicas) == 2 && (f.Replicas[0].HitRatio != nil || f.Replicas[1].HitRatio != nil)
	})
	if !f.Shared || f.Problem != "" || f.Self != two.exports.Instance() {
		t.Errorf("fleet of two: %+v", f)
	}
	for _, r := range f.Replicas {
		if r.Version != "test" || r.Status != "ready" || r.Host != hostName() || r.Start.IsZero() {
			t.Errorf("replica %+v", r)
		}
		if busy := r.ID == one.exports.Instance(); busy != (r.HitRatio != nil) || busy && *r.HitRatio != 0.75 {
			t.Errorf("hit ratio of %s: %v, want 0.75 for the one with traffic", r.ID, r.HitRatio)
		}
	}
	redis.Stop()
	f = fleetOf(t, two, func(f fleet.Fleet) bool { return f.Problem != "" })
	if len(f.Replicas) != 1 || f.Replicas[0].ID != f.Self {
		t.Errorf("without Redis: %+v", f)
	}
	redis.Restart()
	fleetOf(t, two, func(f fleet.Fleet) bool { return len(f.Replicas) == 2 })
	if err := one.stop(); err != nil {
		t.Fatal(err)
	}
	if f := fleetOf(t, two, func(fleet.Fleet) bool { return true }); len(f.Replicas) != 1 {
		t.Errorf("after the end of the other replica: %+v", f)
	}
}

func TestSingleReplicaShowsItself(t *testing.T) {
	s := upstream(t, func(*http.Request) {})
	g := start(t, configured(t, "OSGATE_UPSTREAM_OVERRIDE="+s.URL))
	f := fleetOf(t, g, func(fleet.Fleet) bool { return true })
	if f.Shared || f.Problem != "" || len(f.Replicas) != 1 || f.Replicas[0].ID != f.Self || f.Self == "" {
		t.Errorf("%+v", f)
	}
}

// TestPageHasTheNamesOfTheControlPlane for the ids in the traffic and in the history.
func TestPageHasTheNamesOfTheControlPlane(t *testing.T) {
	s := upstream(t, func(*http.Request) {})
	g := start(t, configured(t, "OSGATE_UPSTREAM_OVERRIDE="+s.URL))
	get(t, http.DefaultClient, g.ClientsURL()+key, mint(t, http.DefaultClient, g.ClientsURL()))
	var o struct{ Names map[string]string }
	overviewOf(t, g, func(o shown) bool { return len(o.Traffic.Clients) > 0 })
	_, body := get(t, http.DefaultClient, g.AdminURL()+"/api/overview", "")
	if err := json.Unmarshal([]byte(body), &o); err != nil {
		t.Fatal(err)
	}
	if o.Names["app-one"] != "App one" || o.Names["org-root"] != "Acme" {
		t.Errorf("names of the traffic: %v", o.Names)
	}
	if err := g.stats.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, body = get(t, http.DefaultClient, g.AdminURL()+"/api/history", "")
	o.Names = nil
	if err := json.Unmarshal([]byte(body), &o); err != nil || o.Names["org-root"] != "Acme" {
		t.Errorf("names of the history: %v, %v", o.Names, err)
	}
}
