package emulator

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Emulator is the Object Store v2, Stats and Access Management APIs of all five control
// planes in one http.Handler. It is safe for concurrent use and runs no goroutine of
// its own. Create one with New, and Close it.
type Emulator struct {
	chosen    chosen
	rateBy    string
	atlas     *atlas
	directory *directory
	clock     *clock
	ids       *dice
	tokenKey  []byte // of page tokens
	access    *tokens
	refresh   *tokens
	window    *window

	statsWindow *window
	options     Options // with defaults
	fault       Faults  // of the start

	running sync.RWMutex // held while a request is processed; Reset waits for it

	allowance *allowance
	stats     *counts
	requests  requestLog

	clientCounts *clientCounts

	faults *faults
	disk   *disk
	seeded bool // the disk already has the stores of the world
	runs   int  // former users of the disk

	operations                  []operation
	tokenRoutes, identityRoutes accountsRoutes

	spacesMu sync.Mutex // guards spaces
	spaces   map[spaceID]*space

	logMu sync.Mutex // guards log
	log   io.Writer
}

// New returns an emulator, or an error that lists every problem of the options.
func New(options Options) (*Emulator, error) {
	o, problems := options.complete()
	picked, err := choose(o.Choose)
	fault := Faults{Latency: o.Latency}
	if err := errors.Join(problems, err, fault.parse(o.Fault), fault.check()); err != nil {
		return nil, err
	}
	var kept *disk
	if o.Data != "" {
		if kept, err = openDisk(o.Data); err != nil {
			return nil, err
		}
	}
	clock := &clock{}
	e := &Emulator{
		chosen: picked, rateBy: o.RateBy, clock: clock, disk: kept, log: o.Log,
		options: o, fault: fault, statsWindow: newWindow(o.StatsRate, clock),
		atlas: newAtlas(), directory: newDirectory(o.World),
		faults: &faults{dice: newDice(o.Seed, "faults")},
		access: newTokens(accessLife, accessBucket), refresh: newTokens(refreshLife, refreshBucket),
		window: newWindow(o.Rate, clock), allowance: &allowance{limit: o.AccountsRate},
		stats: newCounts(o.StatsLag, kept), operations: operations(),
		tokenRoutes: tokenRoutes(), identityRoutes: identityRoutes(),
		spaces: map[spaceID]*space{}, clientCounts: newClientCounts(o.World.Clients),
	}
	e.faults.set(fault)
	if err := e.populate(o); err != nil {
		return nil, errors.Join(err, kept.close())
	}
	return e, nil
}

// Close closes the data folder, if there is one, and returns the error if data could
// not be stored in it.
func (e *Emulator) Close() error { return e.disk.close() }

// ServeHTTP implements http.Handler.
func (e *Emulator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := e.newExchange(r)
	if x.place.service == backDoorService {
		e.backDoor(x).send(w)
		return
	}
	a, fault, latency := e.process(x)
	if latency > 0 {
		wait(r, latency)
	}
	a.sendFaulty(w, r, fault)
}

// process answers a request and logs it. It does not send the answer.
func (e *Emulator) process(x *exchange) (a answer, fault faultKind, latency time.Duration) {
	e.running.RLock()
	defer e.running.RUnlock()
	entry := e.requests.add(x, e.clock.now())
	e.clientCounts.change(x.client, func(c *ClientCounts) { c.Requests++ })
	fault, latency = e.faults.draw(x.place.service)
	a = e.answer(x, fault)
	if fault != resetFault {
		e.requests.answered(entry, a.status)
	}
	e.logExchange(x, a, fault)
	return a, fault, latency
}

// logExchange logs an exchange.
func (e *Emulator) logExchange(x *exchange, a answer, fault faultKind) {
	if e.log == nil {
		return
	}
	what := strconv.Itoa(a.status)
	if fault != noFault {
		what = "fault " + string(fault)
	}
	who := x.client
	if who == "" {
		who = "-"
	}
	e.logMu.Lock()
	defer e.logMu.Unlock()
	fmt.Fprintf(e.log, "%s %-4s %-7s %-10s %s %s\n", e.clock.now().Format("15:04:05.000"), what,
		printable(x.in.Method), printable(who), printable(x.in.Host), printable(x.target))
}

// printable returns text as one word on one line.
func printable(text string) string { return strings.Trim(strconv.QuoteToGraphic(text), `"`) }

// answer returns the answer to a request, or that of a fault.
func (e *Emulator) answer(x *exchange, fault faultKind) answer {
	switch fault {
	case resetFault:
		return answer{}
	case tooManyFault:
		return jsonAnswer(http.StatusTooManyRequests,
			statusResponse("client can not perform more requests in this time window"))
	case internalFault:
		return jsonAnswer(http.StatusInternalServerError, statusResponse("a fault that was asked for"))
	case noFault, cutFault, slowFault:
	}
	switch x.place.service {
	case objectStoreService:
		return e.objectStore(x)
	case accountsService:
		return e.accountsAnswer(x)
	case statsService:
		return e.statsAnswer(x)
	case backDoorService, nowhere:
	}
	return jsonAnswer(http.StatusNotFound, map[string]string{"message": "no such place: " +
		"send the Host of a region, of Access Management or of the Stats API, or begin the path with " +
		"/{plane}/{region}/api/v1/, /{plane}/accounts/ or /{plane}/api/v1/, as in /us/us-east-1/api/v1/organizations/org-root/regions"})
}

// Options configures New. The zero value is the built-in world, kept in memory,
// limited to 10 requests in any second per client, without faults.
type Options struct {
	// World contains the organizations, environments, clients, users, stores and
	// entries that exist at the start. Nil means BuiltInWorld.
	World *World

	// Data is a folder in which all data are stored between runs: stores, entries,
	// pending confirmations, tokens, rights, counts and the clock. They survive kill
	// -9, but not a power failure. Empty means memory only. Data in the folder replace
	// the stores and entries of World.
	Data string

	// Rate is how many Object Store requests are served in any sliding second.
	// Zero means 10, the vendor's base rate; negative means no limit.
	Rate int

	// RateBy is the unit that Rate limits: "client" (the default), "location" (a client
	// in each region), "app", "store" or "ip".
	RateBy string

	// AccountsRate is how many Access Management requests a client or user may make
	// in a minute. Zero means 500; negative means no limit and no X-RateLimit headers.
	AccountsRate int

	// StatsRate is how many Stats API requests of a client are served in any sliding
	// second; more get 429. Zero and negative mean no limit.
	StatsRate int

	// Latency is added to each answer.
	Latency time.Duration

	// Fault is the probability of each kind of fault, as in
	// "429=0.01,500=0.01,reset=0.01,cut=0.01,slow=0.01"; see Faults. Empty means none.
	Fault string

	// Seed makes faults and ids repeatable. Zero means a random seed.
	Seed int64

	// StatsLag is the time after which the Stats API shows a request.
	StatsLag time.Duration

	// Choose sets properties that are not known outside the vendor: choice to value, as
	// listed by Choices. A choice that is not named has its default.
	Choose map[string]string

	// Log receives one readable line per request; nil means none. Writes do not
	// overlap.
	Log io.Writer
}

const (
	defaultRate         = 10
	defaultAccountsRate = 500
	// maxRate limits the size of one client's sliding log.
	maxRate = 100_000
)

// complete returns o with defaults in place of zero values, or an error that lists all
// of its problems.
func (o Options) complete() (Options, error) {
	var problems []error
	if o.World == nil {
		o.World = BuiltInWorld()
	}
	if o.Rate == 0 {
		o.Rate = defaultRate
	}
	if o.Rate > maxRate {
		problems = append(problems, fmt.Errorf("rate %d: the most is %d", o.Rate, maxRate))
	}
	if o.StatsRate == 0 {
		o.StatsRate = -1
	}
	if o.StatsRate > maxRate {
		problems = append(problems, fmt.Errorf("stats rate %d: the most is %d", o.StatsRate, maxRate))
	}
	if o.AccountsRate == 0 {
		o.AccountsRate = defaultAccountsRate
	}
	if o.RateBy == "" {
		o.RateBy = "client"
	}
	if !slices.Contains(rateSubjects(), o.RateBy) {
		problems = append(problems, fmt.Errorf("rate by %q: one of %s", o.RateBy, strings.Join(rateSubjects(), ", ")))
	}
	if o.StatsLag < 0 {
		problems = append(problems, fmt.Errorf("stats lag %v: not below zero", o.StatsLag))
	}
	problems = append(problems, o.World.check()...)
	return o, errors.Join(problems...)
}
