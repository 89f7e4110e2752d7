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

var faultsFlag = flag.Duration("faults", 0, "how long each fault of the matrix lasts; all rows run, and the table is printed. 0: a second, fewer rows, no table")

const (
	// faultTime is the minimum duration of a fault in an ordinary run of the tests.
	faultTime = time.Second

	// faultRows and tableRows are the numbers of rows of the matrix that run at once,
	// in an ordinary run of the tests and for the table of docs/operations.md. Rows
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

// breakdown is one row of the matrix: a fault of one dependency of the gateway.
type breakdown struct {
	dependency, fault, storage string
	promise
	prepare func(*ordeal) (settings []string) // starts what breaks down; nil: there is nothing to start
	begin   func(*ordeal) (end func())        // begins the fault
	lingers bool                              // /readyz stays degraded for a minute after the fault
}

// promise is what good clients may see during a fault, in addition to 2xx.
type promise struct {
	known      []int // reads and writes of a client whose token is known
	newcomers  []int // reads with tokens that the gateway sees for the first time
	mints      []int // mints through the gateway
	statistics []int // the Stats API
	// noticed reports whether the gateway has detected the fault, which lasts at least
	// until then; nil: it need not detect it.
	noticed func(*ordeal) bool
}

// ordeal is a run of one row, with a gateway of its own.
type ordeal struct {
	*testing.T
	breakdown
	stack    *stack
	redis    *harassed // nil: embedded
	ways     []*way    // those that break down
	door     *door     // nil: none
	dir      string    // STATE_DIR; empty: none
	launch   func(settings ...string) *gateway
	settings []string
	gateway  *gateway
	clients  *patrons
	before   losses    // as of the fault's begin
	began    time.Time // the fault
	row      faultRow
}

// broken holds the results of the rows; TestMain prints it at the end.
var broken faultTable

// withstand runs the rows, several at a time, independent of other tests.
func withstand(t *testing.T, rows []breakdown) {
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
				(&ordeal{T: t, breakdown: b}).run()
			})
		})
	}
	all.Wait()
}

// run observes good clients before, during and after the fault, compares the counts
// with their responses, and ends the gateway during a second fault of the same kind.
func (r *ordeal) run() {
	r.Helper()
	r.start()
	r.row.breakdown = r.breakdown
	r.clients.come()
	calm := r.clients.calms(r.clients.began)
	end := r.strike()
	r.lasts()
	ended := time.Now()
	end()
	r.settles(ended)
	r.clients.leave()
	r.row.before, r.row.during, r.row.after = r.clients.phases(calm, r.began, ended)
	r.row.recovered = lastRefusal(r.row.after, ended)
	r.judge()
	r.recount(r.gateway, 0)
	r.row.lost = r.losses().since(r.before)
	r.drain()
	r.Logf("%v", &r.row)
	broken.add(&r.row)
}

// length returns the minimum duration of a fault.
func length() time.Duration {
	if *faultsFlag > 0 {
		return *faultsFlag
	}
	return faultTime
}

// start starts the gateway and its dependencies.
func (r *ordeal) start() {
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
		r.redis = harassedSingle(r.T)
	case cluster:
		r.redis = harassedCluster(r.T)
	}
	if r.redis != nil {
		r.settings = append(r.settings, "REDIS_URL="+r.redis.urls[0])
	}
	if r.redis != nil && *faultsFlag == 0 { // a machine that is busy is no fault
		timeout := busyRedis
		if r.dependency == "Redis" {
			timeout = troubledRedis.String()
		}
		r.settings = append(r.settings, "REDIS_TIMEOUT="+timeout)
	}
	r.launch = r.stack.gateway
	if r.prepare != nil {
		r.settings = append(r.settings, r.prepare(r)...)
	}
	r.gateway = r.launch(r.settings...)
	r.clients = newPatrons(r)
}

// strike begins the fault.
func (r *ordeal) strike() (end func()) {
	r.Helper()
	r.before, r.began = r.losses(), time.Now()
	return r.begin(r)
}

// lasts returns when the fault has lasted long enough.
func (r *ordeal) lasts() {
	r.Helper()
	<-time.After(length())
	if r.noticed != nil {
		eventually(r, "the gateway to notice the fault", func() bool { return r.noticed(r) })
	}
}

// settles waits until clients receive nothing but 2xx, the gateway is ready, and there
// are hits.
func (r *ordeal) settles(ended time.Time) {
	r.Helper()
	if !r.lingers {
		admin := caller{t: r, base: r.gateway.admin}
		eventually(r, "readiness after the fault", func() bool { return strings.Contains(admin.get("/readyz").body, `"status":"ready"`) })
		r.row.ready = time.Since(ended)
	}
	eventually(r, "a hit after the fault", func() bool {
		at, ok := r.clients.hitSince(ended)
		r.row.hits = at.Sub(ended)
		return ok
	})
	r.clients.calms(ended)
}

// judge fails the test for each response during the fault that is not promised.
func (r *ordeal) judge() {
	r.Helper()
	for _, v := range r.row.during {
		if !r.allows(v) {
			r.Errorf("while the fault lasted: %v", v)
			return
		}
	}
}

// recount fails the test unless the counts of a gateway agree with the responses of the
// clients: each 2xx is counted or reported as lost, and otherwise only requests without
// a response may be counted.
func (r *ordeal) recount(g *gateway, announced int) (lost int) {
	r.Helper()
	served, unsettled := r.clients.served()
	counted, one := -1, r.clients.known.via(g)
	eventually(r, "the statistics", func() bool {
		a, err := one.try(http.MethodGet, "/api/v1/organizations/org-root"+today("1hour"), "")
		if err != nil || a.status != http.StatusOK {
			return false
		}
		var counts []count
		a.decode(&counts)
		counted = total(counts)
		return counted >= served-announced
	})
	if counted > served+unsettled {
		r.Errorf("%d operations are counted, %d were answered 2xx and %d not to their end", counted, served, unsettled)
	}
	return max(0, served-counted)
}

// drain ends the gateway by SIGTERM during a second fault, and compares the counts that
// another gateway finds.
func (r *ordeal) drain() {
	r.Helper()
	r.clients.come()
	end := r.strike()
	<-time.After(min(length()/3, 2*time.Second))
	term := time.Now()
	r.row.code = r.gateway.stop(syscall.SIGTERM)
	r.row.drained = time.Since(term)
	r.clients.leave()
	end()
	if bound := faultDrain + stopTime; *faultsFlag > 0 && r.row.drained > bound {
		r.Errorf("SIGTERM: it ended after %v, want at most %v", r.row.drained, bound)
	}
	log := r.gateway.stderr.String()
	r.row.announced = announced(log)
	ordered := r.row.announced == 0 && !strings.Contains(log, "saving organization trees at the end")
	if ordered != (r.row.code == 0) {
		r.Errorf("SIGTERM: exit code %d, and %d operations reported as lost", r.row.code, r.row.announced)
	}
	r.row.lostAtEnd = r.recount(r.stack.gateway(r.settings...), r.row.announced)
}

// stopTime is the time that the end of a process may take beyond OSGATE_DRAIN_TIMEOUT:
// a second for exchanges that are cut off, 5 s for requests to a control plane, 5 s for
// counts and telemetry, 2 s for the log, and 2 s for a slow machine.
const stopTime = 15 * time.Second

// announced returns the number of operations that the last line of the log reports as
// lost.
func announced(log string) (operations int) {
	const words = "lost at most: "
	if i := strings.LastIndex(log, words); i >= 0 {
		_, _ = fmt.Sscan(log[i+len(words):], &operations) // 0 where it is no number
	}
	return operations
}

// readiness returns a condition: /readyz names this part.
func readiness(part string) func(*ordeal) bool {
	return func(r *ordeal) bool {
		return strings.Contains(caller{t: r, base: r.gateway.admin}.get("/readyz").body, `"part":"`+part)
	}
}

// refusals is a condition: a client has received a response other than 2xx since the
// fault began.
func refusals(r *ordeal) bool { return r.clients.refusedSince(r.began) }
