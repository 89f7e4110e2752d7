package e2e

import (
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"
)

// BenchmarkGateway compares the gateway with a bare httputil.ReverseProxy that has the
// same transport settings: in one run, on one machine, in front of one constant
// upstream, each in a process of its own. The load is a closed loop over persistent
// connections: a slow response delays the next request. The latencies are therefore
// those of a client that waits, and not of an open stream of arrivals. Each of three
// rounds measures all subjects in turn. The bare proxy is measured first and last in
// each round; the difference between the two is the drift of the machine. The access
// log is on, at its default level, and is written to /dev/null; one row turns it off.
// The rows with telemetry export 1 % of the traces with their log records, and all
// metrics, by OTLP to a receiver in the process of the load generator, which reads and
// drops them; one row exports every log record.
//
// allocs/req and cpu-µs/req are those of the measured process, without load generator,
// upstream and Redis.
func BenchmarkGateway(b *testing.B) {
	y := newBenchmark(b)
	subjects := []*subject{
		y.bare("bare ReverseProxy"),
		y.gateway("pass-through, embedded", false, "CACHE_KEY_TTL=0"),
		y.gateway("pass-through, embedded, no access log", false, "CACHE_KEY_TTL=0", "LOG_LEVEL=error"),
		y.gateway("pass-through, Redis", true, "CACHE_KEY_TTL=0"),
		y.gateway("pass-through, embedded, telemetry", false, y.telemetry("CACHE_KEY_TTL=0")...),
		y.gateway("pass-through, embedded, telemetry and every log record", false, y.telemetry("CACHE_KEY_TTL=0", "OTEL_LOGS_EXPORTER=otlp")...),
		y.gateway("cached hit, embedded", false, "CACHE_KEY_TTL=1h"),
		y.gateway("cached hit, embedded, telemetry", false, y.telemetry("CACHE_KEY_TTL=1h")...),
		y.gateway("cached hit, Redis", true, "CACHE_KEY_TTL=1h"),
	}
	again := *subjects[0]
	again.name = "bare ReverseProxy, again"
	subjects = append(subjects, &again)
	for round := range 3 {
		for _, concurrency := range []int{16, 64} {
			var bare *load
			for _, s := range subjects {
				var last *load
				b.Run(fmt.Sprintf("%s/c=%d/round=%d", s.slug(), concurrency, round+1), func(b *testing.B) { last = s.measure(b, concurrency) })
				if last == nil {
					continue // not selected by -bench, or failed
				}
				if s == subjects[0] {
					bare = last
				}
				benchmarkResults.add(s.name, concurrency, last, bare)
			}
		}
	}
}

// benchmarkResults holds the results of BenchmarkGateway; TestMain prints it at the
// end.
var benchmarkResults results

// results are the rows of a table, in the order of their first measurement.
type results struct{ rows []*resultRow }

// resultRow is one subject at one concurrency.
type resultRow struct {
	name        string
	concurrency int
	loads       []*load
	bare        []*load // the bare proxy's in the same round; nil if it was not measured
}

func (r *results) add(name string, concurrency int, l, bare *load) {
	i := slices.IndexFunc(r.rows, func(w *resultRow) bool { return w.name == name && w.concurrency == concurrency })
	if i < 0 {
		i = len(r.rows)
		r.rows = append(r.rows, &resultRow{name: name, concurrency: concurrency})
	}
	r.rows[i].loads, r.rows[i].bare = append(r.rows[i].loads, l), append(r.rows[i].bare, bare)
}

// print writes the table, if there are results.
func (r *results) print(out io.Writer) {
	if len(r.rows) == 0 {
		return
	}
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "\nClosed loop of GETs of one value of 184 bytes; load, proxy, upstream and Redis share %d CPUs.\n", runtime.NumCPU())
	fmt.Fprintf(w, "Medians of %d rounds; ratios are to the bare proxy of the same round.\n\n", len(r.rows[0].loads))
	fmt.Fprintf(w, "connections\t%-38s\trequests/s\tratio\tp50\tp99\tallocs/req\tcpu/req\tratio\t\n", "subject")
	for _, row := range r.rows {
		fmt.Fprintln(w, row)
	}
	_ = w.Flush()
}

// String returns the row's cells.
func (w *resultRow) String() string {
	rate := w.median(func(l, _ *load) float64 { return l.rate() })
	rateRatio := w.median(func(l, bare *load) float64 { return l.rate() / bare.rate() })
	p50 := w.median(func(l, _ *load) float64 { return float64(l.quantile(0.5).Microseconds()) })
	p99 := w.median(func(l, _ *load) float64 { return float64(l.quantile(0.99).Microseconds()) })
	mallocs := w.median(func(l, _ *load) float64 { return l.mallocs })
	cpu := w.median(func(l, _ *load) float64 { return float64(l.cpu.Nanoseconds()) / 1e3 })
	cpuRatio := w.median(func(l, bare *load) float64 { return float64(l.cpu) / float64(bare.cpu) })
	return fmt.Sprintf("%d\t%-38s\t%.0f\t%.2f\t%.2f ms\t%.2f ms\t%.0f\t%.1f µs\t%.2f\t",
		w.concurrency, w.name, rate, rateRatio, p50/1e3, p99/1e3, mallocs, cpu, cpuRatio)
}

// median returns the median of a figure over the rounds, or 0 if there is no figure
// (without a bare proxy to compare with).
func (w *resultRow) median(figure func(l, bare *load) float64) float64 {
	var all []float64
	for i, l := range w.loads {
		bare := w.bare[i]
		if bare == nil {
			bare = &load{elapsed: 1} // every ratio to it is 0 or none
		}
		if f := figure(l, bare); !math.IsInf(f, 0) && !math.IsNaN(f) {
			all = append(all, f)
		}
	}
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// benchmark is shared by the subjects of a benchmark: an upstream, a Redis, and a file
// for dropped logs.
type benchmark struct {
	b                           *testing.B
	upstream, bareProxy, target string
	redis                       *redis
	devNull                     *os.File
}

func newBenchmark(b *testing.B) *benchmark {
	b.Helper()
	dir := b.TempDir()
	if err := build(".", dir, "./testdata/upstream", "./testdata/bareproxy"); err != nil {
		b.Fatal(err)
	}
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = null.Close() })
	upstream := startProgram(b, filepath.Join(dir, "upstream"), nil)
	return &benchmark{b: b, upstream: upstream.stdoutLine(0), bareProxy: filepath.Join(dir, "bareproxy"), target: keyOne, redis: startRedis(b), devNull: null}
}

// telemetry adds the settings that export everything to a receiver that drops it.
// Traces are sampled at the default, 1 %.
func (y *benchmark) telemetry(settings ...string) []string {
	y.b.Helper()
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
	y.b.Cleanup(receiver.Close)
	return append(settings, "OTEL_EXPORTER_OTLP_ENDPOINT="+receiver.URL)
}

// subject is a program under load.
type subject struct {
	name    string
	process *process
	addr    string
	request []byte
	mallocs func() float64 // objects allocated so far; 0 if the program does not report it
}

// slug returns the name as part of the name of a benchmark.
func (s *subject) slug() string {
	text, _, _ := strings.Cut(s.name, " (")
	return strings.NewReplacer(" ", "-", ",", "").Replace(text)
}

// bare starts the bare proxy.
func (y *benchmark) bare(name string) *subject {
	p := startProgram(y.b, y.bareProxy, nil, y.upstream)
	url := p.stdoutLine(0)
	return &subject{
		name: name, process: p, addr: strings.TrimPrefix(url, "http://"), request: []byte(keepAliveRequest(y.target, "unknown-token")),
		mallocs: func() float64 {
			n, _ := strconv.ParseFloat(strings.TrimSpace(client{t: y.b, base: url}.get("/mallocs").body), 64)
			return n
		},
	}
}

// keepAliveRequest is a request that keeps the connection open.
func keepAliveRequest(target, token string) string {
	return strings.Replace(rawGET("gateway", target, "Authorization: Bearer "+token, "Accept: application/json", "User-Agent: bench"), "Connection: close\r\n", "", 1)
}

// mallocsMetric returns the number of allocated objects from Prometheus metrics.
var mallocsMetric = regexp.MustCompile(`(?m)^(?:go_memstats_mallocs_total|go_gc_heap_allocs_objects_total|go_memory_allocations_total)(?:\{[^}]*\})? (\S+)$`)

// gateway starts osgate with a quota that is counted but never reached, and checks that
// its responses are those of the row.
func (y *benchmark) gateway(name string, withRedis bool, settings ...string) *subject {
	s := &stack{t: y.b, emulator: &emulator{url: y.upstream}}
	if withRedis {
		s.redis = y.redis
	}
	g := &gateway{stack: s}
	settings = append([]string{"RATE=1000000", "RATE_BURST=1000000", "REDIS_PREFIX=" + strings.Map(onlyLetters, name)}, settings...)
	g.process = startProgramWithStderr(y.b, y.devNull, programs.osgate, s.environment(settings...))
	g.awaitReady()
	one := g.as("app-one")
	one.get(y.target).is(http.StatusOK)
	status := one.get(y.target).is(http.StatusOK).header.Get("Cache-Status")
	if hit := strings.Contains(status, "; hit"); hit != strings.Contains(name, "hit") {
		name += " (" + status + ")"
	}
	return &subject{
		name: name, process: g.process, addr: g.addr(), request: []byte(keepAliveRequest(y.target, one.token)),
		mallocs: func() float64 {
			match := mallocsMetric.FindStringSubmatch(client{t: y.b, base: g.admin}.get("/metrics").body)
			if match == nil {
				return 0
			}
			n, _ := strconv.ParseFloat(match[1], 64)
			return n
		},
	}
}

func onlyLetters(r rune) rune {
	if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
		return r
	}
	return -1
}
