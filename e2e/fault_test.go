package e2e

import (
	"flag"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

var faultsFlag = flag.Duration("faults", 0, "duration of each fault of the matrix; all rows run, and the table is printed. 0: a second, fewer rows, no table")

const (
	// faultTime is the minimum duration of a fault in an ordinary run of the tests.
	faultTime = time.Second

	// faultRows and tableRows are the numbers of rows of the matrix that run at once,
	// in an ordinary run of the tests and for the table of docs/faults.md. Rows
	// mostly wait.
	faultRows, tableRows = 16, 6

	// faultDrain is OSGATE_DRAIN_TIMEOUT of each gateway.
	faultDrain = 5 * time.Second
)

// The storages of a row: for quotas, the state of the cache, and statistics.
const (
	embedded = "embedded" // with a STATE_DIR
	single   = "Redis"
	cluster  = "cluster"
)

// faultCase is one row of the matrix: a fault of one dependency of the gateway.
type faultCase struct {
	dependency, fault, storage string
	allowedOutcomes
	prepare       func(*faultRun) (settings []string) // starts the failing dependency; nil: there is none to start
	begin         func(*faultRun) (end func())        // begins the fault
	staysDegraded bool                                // /readyz stays degraded for a minute after the fault
}

// allowedOutcomes is what good clients may receive during a fault, in addition to 2xx.
type allowedOutcomes struct {
	known      []int // reads and writes of a client whose token is known
	newTokens  []int // reads with tokens that the gateway has not seen before
	mints      []int // token requests through the gateway
	statistics []int // the Stats API
	// noticed reports whether the gateway has detected the fault, which lasts at least
	// until then; nil: it need not detect it.
	detected func(*faultRun) bool
}

// faultRun is a run of one row, with a gateway of its own.
type faultRun struct {
	*testing.T
	faultCase
	stack     *stack
	redis     *disturbedRedis // nil: embedded
	proxies   []*tcpProxy     // the failing ones
	httpProxy *httpFaultProxy // nil: none
	dir       string          // STATE_DIR; empty: none
	launch    func(settings ...string) *gateway
	settings  []string
	gateway   *gateway
	clients   *faultClients
	before    losses    // since the beginning of the fault
	began     time.Time // the fault
	row       faultRow
}

// faultResults holds the results of the rows; TestMain prints it at the end.
var faultResults faultTable

// runFaultCases runs the rows, several at a time, independent of other tests.
func runFaultCases(t *testing.T, rows []faultCase) {
	t.Helper()
	var all sync.WaitGroup
	atOnce := faultRows
	if *faultsFlag > 0 {
		atOnce = tableRows
	}
	places := make(chan struct{}, atOnce)
	for _, b := range rows {
		all.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			name := strings.Join([]string{b.dependency, b.fault, b.storage}, "/")
			t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
				(&faultRun{T: t, faultCase: b}).run()
			})
		})
	}
	all.Wait()
}

// run observes good clients before, during and after the fault, compares the counts
// with their responses, and ends the gateway during a second fault of the same kind.
func (r *faultRun) run() {
	r.Helper()
	r.start()
	r.row.faultCase = r.faultCase
	r.clients.startSending()
	calm := r.clients.awaitSuccesses(r.clients.began)
	end := r.beginFault()
	r.awaitDetection()
	ended := time.Now()
	end()
	r.awaitRecovery(ended)
	r.clients.stopSending()
	r.row.before, r.row.during, r.row.after = r.clients.phases(calm, r.began, ended)
	r.row.recovered = lastRefusal(r.row.after, ended)
	r.checkOutcomes()
	r.checkCounts(r.gateway, 0)
	r.row.lost = r.losses().since(r.before)
	r.drainDuringFault()
	r.Logf("%v", &r.row)
	faultResults.add(&r.row)
}

// faultLength returns the minimum duration of a fault.
func faultLength() time.Duration {
	if *faultsFlag > 0 {
		return *faultsFlag
	}
	return faultTime
}

// start starts the gateway and its dependencies.
func (r *faultRun) start() {
	r.Helper()
	r.stack = newStack(r.T, false, "-quiet", "-accounts-rate", "0")
	r.settings = []string{"RATE=1000", "RATE_BURST=1000", "DRAIN_TIMEOUT=" + faultDrain.String(), "SECRET=" + strings.Repeat("A", 43)}
	if *faultsFlag > 0 || r.dependency == "Object Store" {
		r.settings = append(r.settings, "UPSTREAM_TIMEOUT=5s")
	}
	switch r.storage {
	case embedded:
		r.dir = r.TempDir() + "/state"
		r.settings = append(r.settings, "STATE_DIR="+r.dir)
	case single:
		r.redis = newDisturbedServer(r.T)
	case cluster:
		r.redis = newDisturbedCluster(r.T)
	}
	if r.redis != nil {
		r.settings = append(r.settings, "REDIS_URL="+r.redis.urls[0])
	}
	if r.redis != nil && *faultsFlag == 0 { // a busy machine is no fault
		timeout := longRedisTimeout
		if r.dependency == "Redis" {
			timeout = failingRedisTimeout.String()
		}
		r.settings = append(r.settings, "REDIS_TIMEOUT="+timeout)
	}
	r.launch = r.stack.gateway
	if r.prepare != nil {
		r.settings = append(r.settings, r.prepare(r)...)
	}
	r.gateway = r.launch(r.settings...)
	r.clients = newFaultClients(r)
}

// beginFault begins the fault.
func (r *faultRun) beginFault() (end func()) {
	r.Helper()
	r.before, r.began = r.losses(), time.Now()
	return r.begin(r)
}

// awaitDetection returns when the fault has lasted long enough.
func (r *faultRun) awaitDetection() {
	r.Helper()
	<-time.After(faultLength())
	if r.detected != nil {
		eventually(r, "the gateway to detect the fault", func() bool { return r.detected(r) })
	}
}

// awaitRecovery waits until clients receive only 2xx, the gateway is ready, and there
// are hits.
func (r *faultRun) awaitRecovery(ended time.Time) {
	r.Helper()
	if !r.staysDegraded {
		admin := client{t: r, base: r.gateway.admin}
		eventually(r, "readiness after the fault", func() bool { return strings.Contains(admin.get("/readyz").body, `"status":"ready"`) })
		r.row.ready = time.Since(ended)
	}
	eventually(r, "a hit after the fault", func() bool {
		at, ok := r.clients.firstHitAfter(ended)
		r.row.hits = at.Sub(ended)
		return ok
	})
	r.clients.awaitSuccesses(ended)
}

// checkOutcomes fails the test for each response during the fault that is not promised.
func (r *faultRun) checkOutcomes() {
	r.Helper()
	for _, v := range r.row.during {
		if !r.allows(v) {
			r.Errorf("during the fault: %v", v)
			return
		}
	}
}

// checkCounts fails the test unless the counts of a gateway agree with the responses of
// the clients: each 2xx is counted or reported as lost, and of the others only requests
// without a response may be counted.
func (r *faultRun) checkCounts(g *gateway, announced int) (lost int) {
	r.Helper()
	served, unsettled := r.clients.countServed()
	counted, one := -1, r.clients.known.via(g)
	eventually(r, "the statistics", func() bool {
		a, err := one.try(http.MethodGet, "/api/v1/organizations/org-root"+lastDayQuery("1hour"), "")
		if err != nil || a.status != http.StatusOK {
			return false
		}
		var counts []count
		a.decode(&counts)
		counted = total(counts)
		return counted >= served-announced
	})
	if counted > served+unsettled {
		r.Errorf("%d operations are counted, %d were answered with 2xx, and %d have no complete answer", counted, served, unsettled)
	}
	return max(0, served-counted)
}

// drainDuringFault ends the gateway by SIGTERM during a second fault, and compares the
// counts that another gateway finds.
func (r *faultRun) drainDuringFault() {
	r.Helper()
	r.clients.startSending()
	end := r.beginFault()
	<-time.After(min(faultLength()/3, 2*time.Second))
	term := time.Now()
	r.row.code = r.gateway.stop(syscall.SIGTERM)
	r.row.drained = time.Since(term)
	r.clients.stopSending()
	end()
	if bound := faultDrain + shutdownTime; *faultsFlag > 0 && r.row.drained > bound {
		r.Errorf("the gateway ended %v after SIGTERM, want at most %v", r.row.drained, bound)
	}
	log := r.gateway.stderr.String()
	r.row.reported = reportedLosses(log)
	ordered := r.row.reported == 0 && !strings.Contains(log, "saving organization trees at the end")
	if ordered != (r.row.code == 0) {
		r.Errorf("SIGTERM: exit code %d, and %d operations reported as lost", r.row.code, r.row.reported)
	}
	r.row.lostAtEnd = r.checkCounts(r.stack.gateway(r.settings...), r.row.reported)
}

// shutdownTime is the time that the end of a process may take beyond
// OSGATE_DRAIN_TIMEOUT: a second for exchanges that are cut off, 5 s for requests to a
// control plane, 5 s for counts and telemetry, 2 s for the log, and 2 s for a slow
// machine.
const shutdownTime = 15 * time.Second

// reportedLosses returns the number of operations that the last line of the log reports
// as lost.
func reportedLosses(log string) (operations int) {
	const words = "lost at most: "
	if i := strings.LastIndex(log, words); i >= 0 {
		_, _ = fmt.Sscan(log[i+len(words):], &operations) // 0 if it is no number
	}
	return operations
}

// degradedPart returns a condition: /readyz names this part.
func degradedPart(part string) func(*faultRun) bool {
	return func(r *faultRun) bool {
		return strings.Contains(client{t: r, base: r.gateway.admin}.get("/readyz").body, `"part":"`+part)
	}
}

// clientRefused is a condition: a client has received a response other than 2xx since
// the fault began.
func clientRefused(r *faultRun) bool { return r.clients.failedSince(r.began) }
