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

// TestDependencyFaultsHaveOnlyTheDocumentedEffects is the matrix: each dependency fails
// in each way while good clients read and write. See docs/faults.md.
func TestDependencyFaultsHaveOnlyTheDocumentedEffects(t *testing.T) {
	t.Parallel()
	runFaultCases(t, slices.Concat(redisRows(), objectStoreRows(), controlPlaneRows(), collectorRows(), logRows(), diskRows(), policyRows()))
}

// storages are the storages of the rows of a dependency that is no storage itself.
func storages() []string {
	if *faultsFlag > 0 {
		return []string{embedded, single, cluster}
	}
	return []string{embedded}
}

// eachFault returns a row for each fault and storage.
func eachFault(b faultCase, storages []string, faults map[string]func(*faultRun) func()) (rows []faultCase) {
	for _, name := range slices.Sorted(maps.Keys(faults)) {
		for _, storage := range storages {
			b.fault, b.begin, b.storage = name, faults[name], storage
			rows = append(rows, b)
		}
	}
	return rows
}

// proxyFaultsNamed returns the faults of proxyFaults with these names, or all of them
// without names.
func proxyFaultsNamed(names ...string) map[string]func(*faultRun) func() {
	faults := map[string]func(*faultRun) func(){}
	for name, fault := range proxyFaults {
		if len(names) == 0 || slices.Contains(names, name) {
			faults[name] = onProxies(fault)
		}
	}
	return faults
}

// httpFaultsNamed returns the faults of httpFaults with these names, for requests whose
// path has this prefix.
func httpFaultsNamed(prefix string, names ...string) map[string]func(*faultRun) func() {
	faults := map[string]func(*faultRun) func(){}
	for _, name := range names {
		faults[name] = func(r *faultRun) func() { return r.httpProxy.setFault(prefix, httpFaults[name]) }
	}
	return faults
}

// redisRows: requests are served as without Redis; statistics cannot be read.
func redisRows() []faultCase {
	b := faultCase{
		dependency: "Redis", allowedOutcomes: allowedOutcomes{statistics: unavailable, detected: degradedPart("redis")},
		prepare: func(r *faultRun) []string { r.proxies = r.redis.proxies; return nil },
	}
	faults := proxyFaultsNamed()
	configured := func(name, during, after string) func(*faultRun) func() {
		return onServers(
			func(s *redistest.Server) { s.Do("CONFIG", "SET", name, during) },
			func(s *redistest.Server) { s.Do("CONFIG", "SET", name, after) },
		)
	}
	faults["reads, does not write: full (OOM)"] = configured("maxmemory", "1", "0")
	faults["reads, does not write: too few replicas (NOREPLICAS)"] = configured("min-replicas-to-write", "1", "0")
	faults["reads, does not write: cannot persist (MISCONF)"] = func(r *faultRun) func() {
		return onServers(r.failToSave, func(s *redistest.Server) { s.Do("CONFIG", "SET", "stop-writes-on-bgsave-error", "no") })(r)
	}
	flapping := map[string]func(*faultRun) func(){"flapping": faults["flapping"]}
	delete(faults, "flapping")
	rows := eachFault(b, []string{single, cluster}, faults)
	b.detected = nil
	rows = append(rows, eachFault(b, []string{single, cluster}, flapping)...)
	node := map[string]func(*faultRun) func(){"one node refused": func(r *faultRun) func() { return proxyFaults["refused"](r.proxies[1]) }}
	return append(rows, eachFault(b, []string{cluster}, node)...)
}

// onServers calls one function for each server of an ordeal's Redis, and the other at
// the end of the fault.
func onServers(during, after func(*redistest.Server)) func(*faultRun) func() {
	return func(r *faultRun) func() {
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
func (r *faultRun) failToSave(s *redistest.Server) {
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
func objectStoreRows() []faultCase {
	down := allowedOutcomes{known: unreachable, newTokens: unreachable, mints: unreachable, detected: clientRefused}
	over := faultCase{
		dependency: "Object Store", allowedOutcomes: down,
		prepare: func(r *faultRun) []string { // lookups of tokens do not use the failing way
			w := newTCPProxy(r, "way to Object Store", strings.TrimPrefix(r.stack.emulator.url, "http://"))
			r.proxies = []*tcpProxy{w}
			return append(r.introspectionSettings(r.startIntrospection()), "UPSTREAM_OVERRIDE=http://"+w.proxy.Listen)
		},
	}
	rows := eachFault(over, storages(), proxyFaultsNamed())
	answers := faultCase{dependency: "Object Store", allowedOutcomes: down, prepare: (*faultRun).withHTTPFaults}
	answers.known = append([]int{http.StatusTooManyRequests, http.StatusInternalServerError}, unreachable...)
	answers.newTokens = answers.known // token requests do not meet this fault, but they too may meet a stalled machine
	rows = append(rows, eachFault(answers, storages(), httpFaultsNamed("/api/v1/", "resets within answers", "heads without bodies", "429 and 500 by turns"))...)
	for i, row := range rows {
		if row.fault == "slow" || row.fault == "heads without bodies" { // no request is refused within a short time
			rows[i].detected = nil
		}
	}
	return rows
}

// introspectionSettings returns the settings for an introspection endpoint of the test.
func (r *faultRun) introspectionSettings(address string) []string {
	return []string{
		"AUTH=introspect", "AUTH_CLIENT_ID=app-two", "AUTH_CLIENT_SECRET=secret-two",
		"AUTH_INTROSPECTION_URL=http://" + address + "/us/accounts/api/v2/oauth2/introspect",
	}
}

// startIntrospection starts an endpoint that answers as osemu does and adds the
// organization of each token, which is required for statistics. It returns its address.
func (r *faultRun) startIntrospection() string {
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

// withHTTPFaults puts a proxy in front of osemu.
func (r *faultRun) withHTTPFaults() []string {
	r.httpProxy = &httpFaultProxy{}
	return []string{"UPSTREAM_OVERRIDE=" + startProxy(r.T, r.stack.emulator, r.httpProxy.handle)}
}

// controlPlaneRows: known tokens are served, new ones get 503, and so do statistics
// while the control plane confirms no token.
func controlPlaneRows() []faultCase {
	const brief = "AUTH_TTL=2s" // so that known tokens are looked up again
	away := allowedOutcomes{newTokens: unavailable, mints: unreachable, statistics: unavailable, detected: clientRefused}
	own := faultCase{
		dependency: "control plane", allowedOutcomes: away,
		prepare: func(r *faultRun) []string { return append(r.withHTTPFaults(), brief) },
	}
	own.mints = append([]int{http.StatusTooManyRequests, http.StatusInternalServerError}, unreachable...)
	endpoint := faultCase{
		dependency: "introspection endpoint", allowedOutcomes: away,
		prepare: func(r *faultRun) []string {
			w := newTCPProxy(r, "way to introspection", r.startIntrospection())
			r.proxies = []*tcpProxy{w}
			return append(r.introspectionSettings(w.proxy.Listen), brief)
		},
	}
	faults := []string{"refused", "resets"}
	if *faultsFlag > 0 {
		faults = append(faults, "SYN swallowed")
	}
	return append(
		eachFault(own, storages(), httpFaultsNamed("/accounts/", "black hole", "slow", "resets within answers", "garbage", "flapping", "429 and 500 by turns")),
		eachFault(endpoint, storages(), proxyFaultsNamed(faults...))...)
}

// collectorRows: clients are not affected.
func collectorRows() []faultCase {
	b := faultCase{
		dependency:      "collector",
		allowedOutcomes: allowedOutcomes{detected: func(r *faultRun) bool { return r.losses().since(r.before)["exports failed"] > 0 }},
		prepare: func(r *faultRun) []string {
			w := newTCPProxy(r, "way to the collector", strings.TrimPrefix(startCollector(r).http, "http://"))
			r.proxies = []*tcpProxy{w}
			return exportSettings("http://"+w.proxy.Listen, "http/protobuf", "OTEL_TRACES_SAMPLER=always_on", "OTEL_LOGS_EXPORTER=otlp",
				"OTEL_EXPORTER_OTLP_TIMEOUT=1000", "OTEL_BSP_EXPORT_TIMEOUT=1000", "OTEL_BLRP_EXPORT_TIMEOUT=1000", "OTEL_METRIC_EXPORT_TIMEOUT=1000")
		},
	}
	return eachFault(b, []string{embedded}, proxyFaultsNamed())
}

// policyRows: the rules that were read before the fault stay in force.
func policyRows() (rows []faultCase) {
	for name, breaks := range map[string]func(*ruleFile){
		"removed": func(f *ruleFile) { f.remove() },
		"garbage": func(f *ruleFile) { f.write("permit (principal, act") },
	} {
		var rules *ruleFile
		rows = append(rows, faultCase{
			dependency: "policy file", fault: name, storage: embedded, allowedOutcomes: allowedOutcomes{detected: degradedPart("policy")},
			prepare: func(r *faultRun) []string { rules = newRules(r.T, ""); return []string{rules.setting()} },
			begin: func(*faultRun) func() {
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
func diskRows() []faultCase {
	late := allowedOutcomes{statistics: unavailable, detected: degradedPart("statistics")}
	rows := []faultCase{
		{fault: "full", allowedOutcomes: late, begin: fillDisk},
		{fault: "unreadable", allowedOutcomes: late, begin: makeStateDirUnreadable},
		{fault: "removed", allowedOutcomes: allowedOutcomes{statistics: unavailable}, begin: removeStateDir},
	}
	if *faultsFlag > 0 {
		rows = append(rows, smallDiskRow())
	}
	for i := range rows {
		rows[i].dependency, rows[i].storage = "STATE_DIR", embedded
	}
	return rows
}

// smallDiskRow is a row with a full small file system. If the user may not mount one,
// it is the same row without it.
func smallDiskRow() faultCase {
	var disk string
	return faultCase{
		fault: "full, a file system of 1 MiB", allowedOutcomes: allowedOutcomes{statistics: unavailable},
		prepare: func(r *faultRun) []string {
			if disk = smallDisk(r.T); disk != "" {
				r.dir = filepath.Join(disk, "state")
			}
			return []string{"STATE_DIR=" + r.dir}
		},
		begin: func(r *faultRun) func() {
			if disk == "" {
				return fillDisk(r)
			}
			return fill(r.T, disk)
		},
	}
}

// fillDisk makes all of the gateway's writes to files fail.
func fillDisk(r *faultRun) func() {
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

// makeStateDirUnreadable replaces the folder by a link to itself, which no user can
// open, not even root. Both happen at once: the gateway would make the folder again.
func makeStateDirUnreadable(r *faultRun) func() {
	r.Helper()
	aside := r.dir + ".aside"
	if err := errors.Join(os.Symlink(r.dir, aside), exchangeNames(aside, r.dir)); err != nil {
		r.Fatal(err)
	}
	return func() {
		if err := errors.Join(exchangeNames(aside, r.dir), os.Remove(aside)); err != nil {
			r.Error(err)
		}
	}
}

// removeStateDir removes the folder and its contents.
func removeStateDir(r *faultRun) func() {
	r.Helper()
	if err := os.RemoveAll(r.dir); err != nil {
		r.Fatal(err)
	}
	return func() {}
}
