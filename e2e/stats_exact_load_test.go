package e2e

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// countedPlace is the place that an operation is counted for. A level above the store
// has none of the names below it.
type countedPlace struct{ plane, organization, environment, region, store string }

// levels returns the place and the levels above it, the organization last.
func (p countedPlace) levels() []countedPlace {
	return []countedPlace{
		p, {p.plane, p.organization, p.environment, p.region, ""}, {p.plane, p.organization, p.environment, "", ""}, {p.plane, p.organization, "", "", ""},
	}
}

// statistics returns the target of the Stats API for the place, for "client" or
// "upstream". A further parameter may follow the source.
func (p countedPlace) statistics(source string) string {
	target := "/" + p.plane + "/api/v1/organizations/" + p.organization
	for _, part := range [][2]string{{"environments", p.environment}, {"regions", p.region}, {"stores", p.store}} {
		if part[1] != "" {
			target += "/" + part[0] + "/" + part[1]
		}
	}
	return target + lastDayQuery("1hour") + "&source=" + source
}

// target returns the path of the store, below the prefix of plane and region.
func (p countedPlace) target() string {
	return fmt.Sprintf("/%s/%s/api/v1/organizations/%s/environments/%s/stores/%s", p.plane, p.region, p.organization, p.environment, p.store)
}

// placeCounts is a number of operations for each place.
type placeCounts map[countedPlace]int

func (s placeCounts) add(other placeCounts) {
	for p, n := range other {
		s[p] += n
	}
}

// total returns the sum over all places.
func (s placeCounts) total() (n int) {
	for _, more := range s {
		n += more
	}
	return n
}

// atEveryLevel returns the sums of stores, regions, environments and organizations.
func (s placeCounts) atEveryLevel() placeCounts {
	all := placeCounts{}
	for p, n := range s {
		for _, level := range p.levels() {
			all[level] += n
		}
	}
	return all
}

// largeKey is the key of a value that is billed as largeUnits; all other values that
// are sent and read are billed as one.
const (
	largeKey   = "large"
	largeBytes = 250_000
	largeUnits = 3

	largeStores = 12 // stores with a large value, each written once
)

// billed returns the number of billing units of operations, of which some are on the
// large value.
func (s placeCounts) billed(large placeCounts) placeCounts {
	units := placeCounts{}
	units.add(s)
	for p, n := range large {
		units[p] += n * (largeUnits - 1)
	}
	return units
}

// countAnswered returns the number of operations that osemu answered with 2xx, by
// store.
func (e *emulator) countAnswered() placeCounts {
	e.t.Helper()
	return e.countAnsweredTo("")
}

// countAnsweredTo is countAnswered for operations whose path has this suffix.
func (e *emulator) countAnsweredTo(end string) placeCounts {
	e.t.Helper()
	byHost := map[string]location{}
	for _, l := range locations {
		byHost[l.host] = l
	}
	s := placeCounts{}
	for _, r := range e.requests(isObjectStoreRequest, func(r receivedRequest) bool { return r.Status/100 == 2 }) {
		path, _, _ := strings.Cut(r.Target, "?")
		if !strings.HasSuffix(path, end) {
			continue
		}
		parts := strings.Split(path, "/") // "", api, v1, organizations, org-root, environments, env-prod, stores, the store, …
		if len(parts) < 9 {
			e.t.Fatalf("osemu received %s, which is in no store", r.Target)
		}
		l := byHost[r.Host]
		s[countedPlace{l.plane, parts[4], parts[6], l.region, parts[8]}]++
	}
	return s
}

// apps are the applications of the built-in world, by their organization.
var apps = map[string]string{"org-root": "app-one", "org-sub": "app-sub", "org-other": "app-other"}

// members holds one application of each organization, with a token of each plane.
type members map[[2]string]client

// mintMembers requests the tokens of members through the gateway.
func (g *gateway) mintMembers() members {
	g.t.Helper()
	all := members{}
	for organization, app := range apps {
		for _, plane := range []string{"us", "eu"} {
			c := g.client()
			c.token = g.mint(app, "/"+plane)
			all[[2]string{organization, plane}] = c
		}
	}
	return all
}

// client returns the member that may read the statistics of a place.
func (m members) client(p countedPlace) client { return m[[2]string{p.organization, p.plane}] }

// readCounts returns the counts of each of these places, from the Stats API of the
// gateway.
func (g *gateway) readCounts(m members, source string, places placeCounts) placeCounts {
	g.t.Helper()
	s := placeCounts{}
	for p := range places {
		s[p] = total(m.client(p).via(g).counts(p.statistics(source)))
	}
	return s
}

// loadClients send operations to stores through gateways, each over a connection of its
// own, and count the responses.
type loadClients struct {
	t         testing.TB
	members   members
	stores    []countedPlace
	requests  []loadRequest
	pause     time.Duration // of each driver between two requests
	remaining atomic.Int64  // requests that may still be sent

	mu           sync.Mutex
	succeeded    placeCounts // guarded by mu: answered 2xx
	large        placeCounts // guarded by mu: those of good that concern the large value
	successTimes []time.Time // guarded by mu: of each of these; in no order
	byStatus     map[int]int // guarded by mu
	unanswered   int         // guarded by mu: sent, and never answered
}

// loadRequest is an operation, as the bytes of its request.
type loadRequest struct {
	place   countedPlace
	request []byte
	large   bool // concerns the large value
}

// newLoadClients creates two stores in addition to the built-in one, in each
// environment and in three regions of two planes, through the gateway, and counts these
// requests. One of three stores has a large value, which is read sometimes.
func newLoadClients(g *gateway) *loadClients {
	g.t.Helper()
	d := &loadClients{t: g.t, members: g.mintMembers(), succeeded: placeCounts{}, large: placeCounts{}, byStatus: map[int]int{}}
	var setUp []loadRequest
	for _, l := range []location{{plane: "us", region: "us-east-1"}, {plane: "us", region: "eu-west-2"}, {plane: "eu", region: "eu-central-1"}} {
		for environment, organization := range map[string]string{
			"env-prod": "org-root", "env-sandbox": "org-root", "env-sub": "org-sub", "env-other": "org-other",
		} {
			for _, store := range []string{"APP_demo__defaultPersistentObjectStore", "made-first", "made-second"} {
				p := countedPlace{l.plane, organization, environment, l.region, store}
				d.stores = append(d.stores, p)
				if strings.HasPrefix(store, "made-") {
					setUp = append(setUp, d.newRequest(p, http.MethodPut, "", fmt.Sprintf(`{"storeId":%q}`, store)),
						d.newRequest(p, http.MethodPut, "/partitions/DEFAULT_PARTITION/keys/KeyOne", stringValue("KeyOne", "x")))
				}
				d.requests = append(d.requests, d.usualRequests(p)...)
				if store == "made-first" {
					const key = "/partitions/DEFAULT_PARTITION/keys/" + largeKey
					setUp = append(setUp, d.newRequest(p, http.MethodPut, key, stringValue(largeKey, strings.Repeat("x", largeBytes))))
					d.requests = append(d.requests, d.newRequest(p, http.MethodGet, key, ""))
				}
			}
		}
	}
	d.sendOnce(g, setUp)
	return d
}

// newRequest returns an operation on the store of a place, with this method, path below
// the store, and body.
func (d *loadClients) newRequest(p countedPlace, method, path, body string) loadRequest {
	text := method + " " + p.target() + path + " HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer " + d.members.client(p).token + "\r\n"
	if body != "" {
		text += fmt.Sprintf("Content-Type: application/json\r\nContent-Length: %d\r\n", len(body))
	}
	return loadRequest{place: p, request: []byte(text + "\r\n" + body), large: strings.HasSuffix(path, "/"+largeKey)}
}

// usualRequests is the mix of operations for a store: of ten, six read one key, two
// write other keys, one lists keys, and one reads a key that does not exist.
func (d *loadClients) usualRequests(p countedPlace) []loadRequest {
	const keys = "/partitions/DEFAULT_PARTITION/keys"
	read := d.newRequest(p, http.MethodGet, keys+"/KeyOne", "")
	return append(slices.Repeat([]loadRequest{read}, 6),
		d.newRequest(p, http.MethodPut, keys+"/written", stringValue("written", "x")),
		d.newRequest(p, http.MethodDelete, keys+"/written", ""),
		d.newRequest(p, http.MethodGet, keys, ""),
		d.newRequest(p, http.MethodGet, keys+"/absent", ""),
	)
}

// sendOnce sends each of these operations once, one after the other.
func (d *loadClients) sendOnce(g *gateway, offers []loadRequest) {
	d.t.Helper()
	a := newLoadCounts()
	defer d.addCounts(a)
	c := &wireClient{addr: g.addr()}
	defer c.close()
	for _, o := range offers {
		if err := a.send(c, o); err != nil {
			d.t.Fatalf("%.120s…: %v", o.request, err)
		}
	}
}

// loadCounts counts the responses of one driver.
type loadCounts struct {
	succeeded, large placeCounts
	successTimes     []time.Time
	byStatus         map[int]int
	unanswered       int
}

func newLoadCounts() *loadCounts {
	return &loadCounts{succeeded: placeCounts{}, large: placeCounts{}, byStatus: map[int]int{}}
}

// send sends an operation and counts its response.
func (a *loadCounts) send(c *wireClient, o loadRequest) error {
	status, sent, err := c.send(o.request)
	switch {
	case err != nil && sent:
		a.unanswered++
		return err
	case err != nil:
		return err
	}
	a.byStatus[status]++
	if status/100 == 2 {
		a.succeeded[o.place]++
		if o.large {
			a.large[o.place]++
		}
		a.successTimes = append(a.successTimes, time.Now())
	}
	return nil
}

// addCounts adds the counts of a driver.
func (d *loadClients) addCounts(a *loadCounts) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.succeeded.add(a.succeeded)
	d.large.add(a.large)
	d.successTimes = append(d.successTimes, a.successTimes...)
	d.unanswered += a.unanswered
	for status, n := range a.byStatus {
		d.byStatus[status] += n
	}
}

// start lets this number of drivers for each gateway send operations until n requests
// are sent or halt is called, which cancels the rest. A driver also stops if its
// gateway has ended. wait returns when all drivers have stopped.
func (d *loadClients) start(each, n int, gateways ...*gateway) (wait func()) {
	d.remaining.Store(int64(n))
	all := &sync.WaitGroup{}
	for i := range each * len(gateways) {
		g := gateways[i%len(gateways)]
		all.Go(func() {
			a := newLoadCounts()
			defer d.addCounts(a)
			c := &wireClient{addr: g.addr()}
			defer c.close()
			for d.remaining.Add(-1) >= 0 {
				if a.send(c, d.requests[rand.IntN(len(d.requests))]) != nil {
					return
				}
				if d.pause > 0 {
					pause(d.pause)
				}
			}
		})
	}
	return all.Wait
}

// stop stops the sending.
func (d *loadClients) stop() { d.remaining.Store(0) }

// succeededAfter returns the number of operations that were answered with 2xx after an
// instant.
func (d *loadClients) succeededAfter(instant time.Time) (n int) {
	for _, at := range d.successTimes {
		if at.After(instant) {
			n++
		}
	}
	return n
}

// checkAllAnswered fails the test if a request had no response, or an unusual one.
func (d *loadClients) checkAllAnswered(t *testing.T) {
	t.Helper()
	statuses := slices.Sorted(maps.Keys(d.byStatus))
	usual := []int{http.StatusOK, http.StatusCreated, http.StatusNoContent, http.StatusNotFound}
	if slices.ContainsFunc(statuses, func(status int) bool { return !slices.Contains(usual, status) }) || d.unanswered > 0 {
		t.Errorf("answers by status %v, and %d requests without an answer; want only %v", d.byStatus, d.unanswered, usual)
	}
}

// wireClient sends requests over a persistent connection with as little work as
// possible, so that the processor time of a test is spent on the gateway.
type wireClient struct {
	addr string
	conn net.Conn // nil: to be dialed
	in   *bufio.Reader
}

// send sends a request and returns the status of its response, which it reads to the
// end. sent reports whether the gateway may have received the request.
func (c *wireClient) send(request []byte) (status int, sent bool, err error) {
	if c.conn == nil {
		if c.conn, err = net.DialTimeout("tcp", c.addr, testTimeout); err != nil {
			c.conn = nil
			return 0, false, err
		}
		c.in = bufio.NewReader(c.conn)
	}
	_ = c.conn.SetDeadline(time.Now().Add(testTimeout))
	if _, err := c.conn.Write(request); err != nil {
		return 0, true, err
	}
	a, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return 0, true, err
	}
	defer func() { _ = a.Body.Close() }()
	if _, err := io.Copy(io.Discard, a.Body); err != nil {
		return 0, true, err
	}
	if a.Close {
		c.close()
	}
	return a.StatusCode, true, nil
}

func (c *wireClient) close() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}
