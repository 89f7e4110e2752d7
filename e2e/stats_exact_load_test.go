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

// place is the place that an operation is counted for. A level above the store has none
// of the names below it.
type place struct{ plane, organization, environment, region, store string }

// levels returns the place and the levels above it, the organization last.
func (p place) levels() []place {
	return []place{
		p, {p.plane, p.organization, p.environment, p.region, ""}, {p.plane, p.organization, p.environment, "", ""}, {p.plane, p.organization, "", "", ""},
	}
}

// statistics returns the target of the Stats API for the place, for "client" or
// "upstream". A further parameter may follow the source.
func (p place) statistics(source string) string {
	target := "/" + p.plane + "/api/v1/organizations/" + p.organization
	for _, part := range [][2]string{{"environments", p.environment}, {"regions", p.region}, {"stores", p.store}} {
		if part[1] != "" {
			target += "/" + part[0] + "/" + part[1]
		}
	}
	return target + today("1hour") + "&source=" + source
}

// target returns the path of the store, below the prefix of plane and region.
func (p place) target() string {
	return fmt.Sprintf("/%s/%s/api/v1/organizations/%s/environments/%s/stores/%s", p.plane, p.region, p.organization, p.environment, p.store)
}

// sum is a number of operations for each place.
type sum map[place]int

func (s sum) add(other sum) {
	for p, n := range other {
		s[p] += n
	}
}

// all returns the sum over all places.
func (s sum) all() (n int) {
	for _, more := range s {
		n += more
	}
	return n
}

// atEveryLevel returns the sums of stores, regions, environments and organizations.
func (s sum) atEveryLevel() sum {
	all := sum{}
	for p, n := range s {
		for _, level := range p.levels() {
			all[level] += n
		}
	}
	return all
}

// largeKey is the key of a value that is billed as largeUnits; all others that are sent
// and read are billed as one.
const (
	largeKey   = "large"
	largeBytes = 250_000
	largeUnits = 3

	largeStores = 12 // have one, each written once
)

// billed returns the number of billing units of operations, of which some are on the
// large value.
func (s sum) billed(large sum) sum {
	units := sum{}
	units.add(s)
	for p, n := range large {
		units[p] += n * (largeUnits - 1)
	}
	return units
}

// answered returns the number of operations that osemu answered with 2xx, by store.
func (e *emulator) answered() sum {
	e.t.Helper()
	return e.answeredTo("")
}

// answeredTo is answered for operations whose path has this suffix.
func (e *emulator) answeredTo(end string) sum {
	e.t.Helper()
	byHost := map[string]location{}
	for _, l := range locations {
		byHost[l.host] = l
	}
	s := sum{}
	for _, r := range e.requests(toObjectStore, func(r logged) bool { return r.Status/100 == 2 }) {
		path, _, _ := strings.Cut(r.Target, "?")
		if !strings.HasSuffix(path, end) {
			continue
		}
		parts := strings.Split(path, "/") // "", api, v1, organizations, org-root, environments, env-prod, stores, the store, …
		if len(parts) < 9 {
			e.t.Fatalf("osemu saw %s, which is in no store", r.Target)
		}
		l := byHost[r.Host]
		s[place{l.plane, parts[4], parts[6], l.region, parts[8]}]++
	}
	return s
}

// apps are the applications of the built-in world, by their organization.
var apps = map[string]string{"org-root": "app-one", "org-sub": "app-sub", "org-other": "app-other"}

// members holds one application of each organization, with a token of each plane.
type members map[[2]string]caller

// everyone requests the tokens of members through the gateway.
func (g *gateway) everyone() members {
	g.t.Helper()
	all := members{}
	for organization, app := range apps {
		for _, plane := range []string{"us", "eu"} {
			c := g.caller()
			c.token = g.mint(app, "/"+plane)
			all[[2]string{organization, plane}] = c
		}
	}
	return all
}

// at returns the member that may read the statistics of a place.
func (m members) at(p place) caller { return m[[2]string{p.organization, p.plane}] }

// counted returns the counts of each of these places, from the Stats API of the
// gateway.
func (g *gateway) counted(m members, source string, places sum) sum {
	g.t.Helper()
	s := sum{}
	for p := range places {
		s[p] = total(m.at(p).via(g).counts(p.statistics(source)))
	}
	return s
}

// drivers send operations to stores through gateways, each over a connection of its
// own, and count the responses.
type drivers struct {
	t       testing.TB
	members members
	stores  []place
	offers  []offer
	rest    time.Duration // of each driver between two requests
	left    atomic.Int64  // requests that may still be sent

	mu        sync.Mutex
	good      sum         // guarded by mu: answered 2xx
	large     sum         // guarded by mu: those of good that are about the large value
	instants  []time.Time // guarded by mu: of each of these; in no order
	byStatus  map[int]int // guarded by mu
	unsettled int         // guarded by mu: sent, and never answered
}

// offer is an operation, as the bytes of its request.
type offer struct {
	place   place
	request []byte
	large   bool // about the large value
}

// newDrivers creates two stores besides the built-in one, in each environment and in
// three regions of two planes, through the gateway, and counts these requests. One of
// each three stores holds a large value, which is read sometimes.
func newDrivers(g *gateway) *drivers {
	g.t.Helper()
	d := &drivers{t: g.t, members: g.everyone(), good: sum{}, large: sum{}, byStatus: map[int]int{}}
	var setUp []offer
	for _, l := range []location{{plane: "us", region: "us-east-1"}, {plane: "us", region: "eu-west-2"}, {plane: "eu", region: "eu-central-1"}} {
		for environment, organization := range map[string]string{
			"env-prod": "org-root", "env-sandbox": "org-root", "env-sub": "org-sub", "env-other": "org-other",
		} {
			for _, store := range []string{"APP_demo__defaultPersistentObjectStore", "made-first", "made-second"} {
				p := place{l.plane, organization, environment, l.region, store}
				d.stores = append(d.stores, p)
				if strings.HasPrefix(store, "made-") {
					setUp = append(setUp, d.offer(p, http.MethodPut, "", fmt.Sprintf(`{"storeId":%q}`, store)),
						d.offer(p, http.MethodPut, "/partitions/DEFAULT_PARTITION/keys/KeyOne", stringValue("KeyOne", "x")))
				}
				d.offers = append(d.offers, d.usual(p)...)
				if store == "made-first" {
					const key = "/partitions/DEFAULT_PARTITION/keys/" + largeKey
					setUp = append(setUp, d.offer(p, http.MethodPut, key, stringValue(largeKey, strings.Repeat("x", largeBytes))))
					d.offers = append(d.offers, d.offer(p, http.MethodGet, key, ""))
				}
			}
		}
	}
	d.through(g, setUp)
	return d
}

// offer returns an operation on the store of a place, with this method, path below the
// store, and body.
func (d *drivers) offer(p place, method, path, body string) offer {
	text := method + " " + p.target() + path + " HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer " + d.members.at(p).token + "\r\n"
	if body != "" {
		text += fmt.Sprintf("Content-Type: application/json\r\nContent-Length: %d\r\n", len(body))
	}
	return offer{place: p, request: []byte(text + "\r\n" + body), large: strings.HasSuffix(path, "/"+largeKey)}
}

// usual is the mix of operations for a store: of ten, six read one key, two write other
// keys, one lists keys, and one reads a key that does not exist.
func (d *drivers) usual(p place) []offer {
	const keys = "/partitions/DEFAULT_PARTITION/keys"
	read := d.offer(p, http.MethodGet, keys+"/KeyOne", "")
	return append(slices.Repeat([]offer{read}, 6),
		d.offer(p, http.MethodPut, keys+"/written", stringValue("written", "x")),
		d.offer(p, http.MethodDelete, keys+"/written", ""),
		d.offer(p, http.MethodGet, keys, ""),
		d.offer(p, http.MethodGet, keys+"/absent", ""),
	)
}

// through sends each of these operations once, one after the other.
func (d *drivers) through(g *gateway, offers []offer) {
	d.t.Helper()
	a := newAccount()
	defer d.enter(a)
	c := &wireCaller{addr: g.addr()}
	defer c.hangUp()
	for _, o := range offers {
		if err := a.settle(c, o); err != nil {
			d.t.Fatalf("%.120s…: %v", o.request, err)
		}
	}
}

// account counts the responses of one driver.
type account struct {
	good, large sum
	instants    []time.Time
	byStatus    map[int]int
	unsettled   int
}

func newAccount() *account { return &account{good: sum{}, large: sum{}, byStatus: map[int]int{}} }

// settle sends an operation and counts its response.
func (a *account) settle(c *wireCaller, o offer) error {
	status, sent, err := c.ask(o.request)
	switch {
	case err != nil && sent:
		a.unsettled++
		return err
	case err != nil:
		return err
	}
	a.byStatus[status]++
	if status/100 == 2 {
		a.good[o.place]++
		if o.large {
			a.large[o.place]++
		}
		a.instants = append(a.instants, time.Now())
	}
	return nil
}

// enter adds the account of a driver.
func (d *drivers) enter(a *account) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.good.add(a.good)
	d.large.add(a.large)
	d.instants = append(d.instants, a.instants...)
	d.unsettled += a.unsettled
	for status, n := range a.byStatus {
		d.byStatus[status] += n
	}
}

// drive has so many drivers for each gateway send operations until n requests are sent
// or halt is called, which cancels the rest. A driver also stops if its gateway has
// ended. wait returns when all drivers have stopped.
func (d *drivers) drive(each, n int, gateways ...*gateway) (wait func()) {
	d.left.Store(int64(n))
	all := &sync.WaitGroup{}
	for i := range each * len(gateways) {
		g := gateways[i%len(gateways)]
		all.Go(func() {
			a := newAccount()
			defer d.enter(a)
			c := &wireCaller{addr: g.addr()}
			defer c.hangUp()
			for d.left.Add(-1) >= 0 {
				if a.settle(c, d.offers[rand.IntN(len(d.offers))]) != nil {
					return
				}
				if d.rest > 0 {
					pause(d.rest)
				}
			}
		})
	}
	return all.Wait
}

// halt stops the sending.
func (d *drivers) halt() { d.left.Store(0) }

// since returns the number of operations that were answered with 2xx after an instant.
func (d *drivers) since(instant time.Time) (n int) {
	for _, at := range d.instants {
		if at.After(instant) {
			n++
		}
	}
	return n
}

// answeredAll fails the test if a request had no response, or an unusual one.
func (d *drivers) answeredAll(t *testing.T) {
	t.Helper()
	statuses := slices.Sorted(maps.Keys(d.byStatus))
	usual := []int{http.StatusOK, http.StatusCreated, http.StatusNoContent, http.StatusNotFound}
	if slices.ContainsFunc(statuses, func(status int) bool { return !slices.Contains(usual, status) }) || d.unsettled > 0 {
		t.Errorf("answers by status %v, and %d requests without; want %v alone", d.byStatus, d.unsettled, usual)
	}
}

// wireCaller sends requests over a persistent connection with as little work as
// possible, so that the processor time of a test is spent on the gateway.
type wireCaller struct {
	addr string
	conn net.Conn // nil: to be dialed
	in   *bufio.Reader
}

// ask sends a request and returns the status of its response, which it reads to the
// end. sent reports whether the gateway may have received the request.
func (c *wireCaller) ask(request []byte) (status int, sent bool, err error) {
	if c.conn == nil {
		if c.conn, err = net.DialTimeout("tcp", c.addr, patience); err != nil {
			c.conn = nil
			return 0, false, err
		}
		c.in = bufio.NewReader(c.conn)
	}
	_ = c.conn.SetDeadline(time.Now().Add(patience))
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
		c.hangUp()
	}
	return a.StatusCode, true, nil
}

func (c *wireCaller) hangUp() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}
