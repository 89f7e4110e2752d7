package e2e

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"osgate/internal/redisconn/redistest"
)

// unavailable and the other promises are the responses that a fault of a dependency may
// cause.
var (
	unavailable = []int{http.StatusServiceUnavailable}
	unreachable = []int{http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout}
)

// TestFaultsBesideTheGatewayCostNoMoreThanIsDocumented is the matrix: each dependency
// fails in each way while good clients read and write. See docs/operations.md, "Faults".
func TestFaultsBesideTheGatewayCostNoMoreThanIsDocumented(t *testing.T) {
	t.Parallel()
	withstand(t, slices.Concat(redisRows(), objectStoreRows(), controlPlaneRows(), collectorRows(), logRows(), diskRows(), policyRows()))
}

// storages are the storages of the rows of a dependency that is no storage itself.
func storages() []string {
	if *faultsFlag > 0 {
		return []string{embedded, single, cluster}
	}
	return []string{embedded}
}

// each returns a row for each fault and storage.
func each(b breakdown, storages []string, faults map[string]func(*ordeal) func()) (rows []breakdown) {
	for _, name := range slices.Sorted(maps.Keys(faults)) {
		for _, storage := range storages {
			b.fault, b.begin, b.storage = name, faults[name], storage
			rows = append(rows, b)
		}
	}
	return rows
}

// overWays returns the faults of wayFaults with these names, or all of them without
// names.
func overWays(names ...string) map[string]func(*ordeal) func() {
	faults := map[string]func(*ordeal) func(){}
	for name, fault := range wayFaults {
		if len(names) == 0 || slices.Contains(names, name) {
			faults[name] = onWays(fault)
		}
	}
	return faults
}

// atDoor returns the faults of doorFaults with these names, for requests whose path has
// this prefix.
func atDoor(prefix string, names ...string) map[string]func(*ordeal) func() {
	faults := map[string]func(*ordeal) func(){}
	for _, name := range names {
		faults[name] = func(r *ordeal) func() { return r.door.set(prefix, doorFaults[name]) }
	}
	return faults
}

// redisRows: requests are served as without Redis; statistics cannot be read.
func redisRows() []breakdown {
	b := breakdown{
		dependency: "Redis", promise: promise{statistics: unavailable, noticed: readiness("redis")},
		prepare: func(r *ordeal) []string { r.ways = r.redis.ways; return nil },
	}
	faults := overWays()
	configured := func(name, during, after string) func(*ordeal) func() {
		return onServers(
			func(s *redistest.Server) { s.Do("CONFIG", "SET", name, during) },
			func(s *redistest.Server) { s.Do("CONFIG", "SET", name, after) },
		)
	}
	faults["reads, does not write: full (OOM)"] = configured("maxmemory", "1", "0")
	faults["reads, does not write: too few replicas (NOREPLICAS)"] = configured("min-replicas-to-write", "1", "0")
	faults["reads, does not write: cannot persist (MISCONF)"] = func(r *ordeal) func() {
		return onServers(r.failToSave, func(s *redistest.Server) { s.Do("CONFIG", "SET", "stop-writes-on-bgsave-error", "no") })(r)
	}
	flapping := map[string]func(*ordeal) func(){"flapping": faults["flapping"]}
	delete(faults, "flapping")
	rows := each(b, []string{single, cluster}, faults)
	b.noticed = nil
	rows = append(rows, each(b, []string{single, cluster}, flapping)...)
	node := map[string]func(*ordeal) func(){"one node refused": func(r *ordeal) func() { return wayFaults["refused"](r.ways[1]) }}
	return append(rows, each(b, []string{cluster}, node)...)
}

// onServers calls one function for each server of an ordeal's Redis, and the other at
// the end of the fault.
func onServers(during, after func(*redistest.Server)) func(*ordeal) func() {
	return func(r *ordeal) func() {
		for _, s := range r.redis.servers {
			during(s)
		}
		return func() {
			for _, s := range r.redis.servers {
				after(s)
			}
		}
	}
}

// failToSave makes a Redis fail to save, because its file has the name of a folder. It
// refuses writes then.
func (r *ordeal) failToSave(s *redistest.Server) {
	r.Helper()
	s.Do("CONFIG", "SET", "dbfilename", ".")
	s.Do("CONFIG", "SET", "save", "3600 1")
	s.Do("CONFIG", "SET", "stop-writes-on-bgsave-error", "yes")
	s.Do("BGSAVE", "SCHEDULE")
	eventually(r, "Redis to fail to save", func() bool {
		return strings.Contains(s.Do("INFO", "persistence"), "rdb_last_bgsave_status:err")
	})
}

// objectStoreRows: a request that cannot be sent gets 502 or 504, others get the error
// of Object Store. Tokens stay known, and statistics are served.
func objectStoreRows() []breakdown {
	down := promise{known: unreachable, newcomers: unreachable, mints: unreachable, noticed: refusals}
	over := breakdown{
		dependency: "Object Store", promise: down,
		prepare: func(r *ordeal) []string { // whose tokens are is not asked by the way that breaks down
			w := newWay(r, "way to Object Store", strings.TrimPrefix(r.stack.emulator.url, "http://"))
			r.ways = []*way{w}
			return append(r.introspecting(r.introspector()), "UPSTREAM_OVERRIDE=http://"+w.proxy.Listen)
		},
	}
	rows := each(over, storages(), overWays())
	answers := breakdown{dependency: "Object Store", promise: down, prepare: (*ordeal).withDoor}
	answers.known = append([]int{http.StatusTooManyRequests, http.StatusInternalServerError}, unreachable...)
	answers.newcomers = answers.known // mints do not meet this fault, but a machine that stands still is no better
	rows = append(rows, each(answers, storages(), atDoor("/api/v1/", "resets within answers", "heads without bodies", "429 and 500 by turns"))...)
	for i, row := range rows {
		if row.fault == "slow" || row.fault == "heads without bodies" { // nothing is refused within a short time
			rows[i].noticed = nil
		}
	}
	return rows
}

// introspecting returns the settings for an introspection endpoint of the test.
func (r *ordeal) introspecting(address string) []string {
	return []string{
		"AUTH=introspect", "AUTH_CLIENT_ID=app-two", "AUTH_CLIENT_SECRET=secret-two",
		"AUTH_INTROSPECTION_URL=http://" + address + "/us/accounts/api/v2/oauth2/introspect",
	}
}

// introspector starts an endpoint that answers as osemu does and adds the organization
// of each token, which is required for statistics. It returns its address.
func (r *ordeal) introspector() string {
	r.Helper()
	target, err := url.Parse(r.stack.emulator.url)
	if err != nil {
		r.Fatal(err)
	}
	server := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) { p.SetURL(target) },
		ModifyResponse: func(answer *http.Response) error {
			text, err := io.ReadAll(answer.Body)
			named := bytes.Replace(text, []byte(`"active":true`), []byte(`"active":true,"org_id":"org-root"`), 1)
			answer.Body = io.NopCloser(bytes.NewReader(named))
			answer.ContentLength = int64(len(named))
			answer.Header.Set("Content-Length", strconv.Itoa(len(named)))
			return err
		},
	})
	r.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// withDoor puts a proxy in front of osemu.
func (r *ordeal) withDoor() []string {
	r.door = &door{}
	return []string{"UPSTREAM_OVERRIDE=" + inFrontOf(r.T, r.stack.emulator, r.door.answers)}
}

// controlPlaneRows: known tokens are served, new ones get 503, and so do statistics
// while the control plane confirms no token.
func controlPlaneRows() []breakdown {
	const brief = "AUTH_TTL=2s" // so that tokens that are known are asked about, too
	away := promise{newcomers: unavailable, mints: unreachable, statistics: unavailable, noticed: refusals}
	own := breakdown{
		dependency: "control plane", promise: away,
		prepare: func(r *ordeal) []string { return append(r.withDoor(), brief) },
	}
	own.mints = append([]int{http.StatusTooManyRequests, http.StatusInternalServerError}, unreachable...)
	endpoint := breakdown{
		dependency: "introspection endpoint", promise: away,
		prepare: func(r *ordeal) []string {
			w := newWay(r, "way to introspection", r.introspector())
			r.ways = []*way{w}
			return append(r.introspecting(w.proxy.Listen), brief)
		},
	}
	faults := []string{"refused", "resets"}
	if *faultsFlag > 0 {
		faults = append(faults, "SYN swallowed")
	}
	return append(
		each(own, storages(), atDoor("/accounts/", "black hole", "slow", "resets within answers", "garbage", "flapping", "429 and 500 by turns")),
		each(endpoint, storages(), overWays(faults...))...)
}

// collectorRows: clients are not affected.
func collectorRows() []breakdown {
	b := breakdown{
		dependency: "collector",
		promise:    promise{noticed: func(r *ordeal) bool { return r.losses().since(r.before)["exports failed"] > 0 }},
		prepare: func(r *ordeal) []string {
			w := newWay(r, "way to the collector", strings.TrimPrefix(startCollector(r).http, "http://"))
			r.ways = []*way{w}
			return exporting("http://"+w.proxy.Listen, "http/protobuf", "OTEL_TRACES_SAMPLER=always_on", "OTEL_LOGS_EXPORTER=otlp",
				"OTEL_EXPORTER_OTLP_TIMEOUT=1000", "OTEL_BSP_EXPORT_TIMEOUT=1000", "OTEL_BLRP_EXPORT_TIMEOUT=1000", "OTEL_METRIC_EXPORT_TIMEOUT=1000")
		},
	}
	return each(b, []string{embedded}, overWays())
}

// policyRows: the rules that were read before the fault stay in force.
func policyRows() (rows []breakdown) {
	for name, breaks := range map[string]func(*ruleFile){
		"removed": func(f *ruleFile) { f.remove() },
		"garbage": func(f *ruleFile) { f.write("permit (principal, act") },
	} {
		var rules *ruleFile
		rows = append(rows, breakdown{
			dependency: "policy file", fault: name, storage: embedded, promise: promise{noticed: readiness("policy")},
			prepare: func(r *ordeal) []string { rules = newRules(r.T, ""); return []string{rules.setting()} },
			begin: func(*ordeal) func() {
				breaks(rules)
				return func() { rules.write(permitAll) }
			},
		})
	}
	return rows
}

// remove removes the file.
func (f *ruleFile) remove() {
	f.t.Helper()
	if err := os.Remove(f.path); err != nil {
		f.t.Fatal(err)
	}
}

// diskRows: all requests are served, and counts wait in memory until they can be
// written.
func diskRows() []breakdown {
	late := promise{statistics: unavailable, noticed: readiness("statistics")}
	rows := []breakdown{
		{fault: "full", promise: late, begin: fullDisk},
		{fault: "unreadable", promise: late, begin: unreadable},
		{fault: "removed", promise: promise{statistics: unavailable}, begin: removed},
	}
	if *faultsFlag > 0 {
		rows = append(rows, smallDiskRow())
	}
	for i := range rows {
		rows[i].dependency, rows[i].storage = "STATE_DIR", embedded
	}
	return rows
}

// smallDiskRow is a row with a small file system that is full. Where the user may not
// mount one, it is the row before.
func smallDiskRow() breakdown {
	var disk string
	return breakdown{
		fault: "full, a file system of 1 MiB", promise: promise{statistics: unavailable},
		prepare: func(r *ordeal) []string {
			if disk = smallDisk(r.T); disk != "" {
				r.dir = filepath.Join(disk, "state")
			}
			return []string{"STATE_DIR=" + r.dir}
		},
		begin: func(r *ordeal) func() {
			if disk == "" {
				return fullDisk(r)
			}
			return fill(r.T, disk)
		},
	}
}

// fullDisk makes all writes of the gateway to files fail.
func fullDisk(r *ordeal) func() {
	r.Helper()
	r.gateway.limitFiles(0)
	return func() {
		select {
		case <-r.gateway.ended:
		default:
			r.gateway.limitFiles(math.MaxUint64)
		}
	}
}

// unreadable replaces the folder by a link to itself, which no user can open, not even
// root.
func unreadable(r *ordeal) func() {
	r.Helper()
	aside := r.dir + ".aside"
	if err := errors.Join(os.Rename(r.dir, aside), os.Symlink(r.dir, r.dir)); err != nil {
		r.Fatal(err)
	}
	return func() {
		if err := errors.Join(os.Remove(r.dir), os.Rename(aside, r.dir)); err != nil {
			r.Error(err)
		}
	}
}

// removed removes the folder and its contents.
func removed(r *ordeal) func() {
	r.Helper()
	if err := os.RemoveAll(r.dir); err != nil {
		r.Fatal(err)
	}
	return func() {}
}
