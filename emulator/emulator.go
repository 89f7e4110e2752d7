package emulator

import (
	"errors"
	"io"
	"net/http"
	"strconv"
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

	operations     []operation
	accountsRoutes map[string]map[string]func(*accountsCall) (answer, error)

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
		stats: newCounts(o.StatsLag, kept), operations: operations(), accountsRoutes: accountsRoutes(),
		spaces: map[spaceID]*space{}, clientCounts: newClientCounts(o.World.Clients),
	}
	e.faults.set(fault)
	if err := e.populate(o); err != nil {
		return nil, errors.Join(err, kept.close())
	}
	return e, nil
}

// populate loads the data of a former run, or the stores and entries of the world.
func (e *Emulator) populate(o Options) error {
	if e.disk != nil {
		if err := e.load(); err != nil {
			return err
		}
	}
	// Each run has ids of its own, even with the same seed.
	e.ids = newDice(o.Seed, "ids "+strconv.Itoa(e.runs))
	if e.tokenKey == nil {
		e.tokenKey = e.ids.bytes(32)
	}
	if !e.seeded {
		if err := e.seed(o.World); err != nil {
			return err
		}
	}
	return e.disk.write(
		change{bucket: metaBucket, key: "runs", value: record(e.runs + 1)},
		change{bucket: metaBucket, key: "token key", value: e.tokenKey},
		change{bucket: metaBucket, key: "seeded", value: record(true)},
	)
}

// seed creates the stores and entries of a world.
func (e *Emulator) seed(w *World) error {
	now := e.clock.now()
	type storeID struct{ environment, id string }
	in := map[storeID][]*space{}
	for _, s := range w.Stores {
		a := defaultAttributes(s.ID)
		a.DefaultTTLSeconds = within(s.TTLSeconds, maxTTLSeconds)
		a.DefaultConfirmationTTLSeconds = within(s.ConfirmationTTLSeconds, confirmationTTLSeconds)
		a.IsFixedTTL = s.Fixed
		for _, l := range s.locations(e.atlas) {
			place := e.spaceOf(spaceID{l.plane, l.region, s.Environment})
			place.setStore(s.ID, a)
			id := storeID{s.Environment, s.ID}
			in[id] = append(in[id], place)
		}
	}
	for _, entry := range w.Entries {
		v, err := entry.object().value()
		if err != nil {
			return err // impossible: the world was checked
		}
		key, err := canonicalKey(entry.Key, maxName)
		if err != nil {
			return err // likewise
		}
		for _, place := range in[storeID{entry.Environment, entry.Store}] {
			st := place.store(entry.Store)
			place.put(st, place.ensurePartition(st, entry.Partition), key, v, now)
		}
	}
	for _, place := range e.spaces {
		if err := place.keep(); err != nil {
			return err
		}
	}
	return nil
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

// spaceOf returns the space of an id, which it creates if necessary. There are at most
// 17 spaces for each environment of the world.
func (e *Emulator) spaceOf(id spaceID) *space {
	e.spacesMu.Lock()
	defer e.spacesMu.Unlock()
	s := e.spaces[id]
	if s == nil {
		s = newSpace(id, e.disk)
		e.spaces[id] = s
	}
	return s
}

// Advance moves the emulator's clock forward: entries, tokens and confirmations whose
// time ends by then have expired.
func (e *Emulator) Advance(d time.Duration) error {
	ahead, err := e.clock.advance(d)
	if err != nil {
		return err
	}
	return e.disk.write(change{bucket: metaBucket, key: "clock", value: record(int64(ahead))})
}

// SetFaults replaces the faults for later requests.
func (e *Emulator) SetFaults(f Faults) error {
	if err := f.check(); err != nil {
		return err
	}
	e.faults.set(f)
	return nil
}

// Requests returns the requests received since the start or the last ForgetRequests,
// the oldest first, and at most the latest 100,000.
func (e *Emulator) Requests() []Request { return e.requests.all() }

// ForgetRequests empties the list that Requests returns.
func (e *Emulator) ForgetRequests() { e.requests.clear() }
