package board

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"time"

	"osgate/record"
)

// ClientDetail is all that the board knows of one client.
type ClientDetail struct {
	ClientCount
	Trail    Trail          `json:"trail"`
	Rule     string         `json:"rule,omitempty"` // the policy rule that decided last
	Stores   []ClientsStore `json:"stores"`         // the busiest ones, at most 8
	Refusals []Refusal      `json:"refusals"`       // the last ones, the latest first
}

// ClientsStore counts the requests of one client to one store.
type ClientsStore struct {
	Place
	Requests int64 `json:"requests"`
	Hits     int64 `json:"hits"`
}

// StoreDetail is all that the board knows of one store.
type StoreDetail struct {
	StoreCount
	Trail   Trail          `json:"trail"`
	Clients []StoresClient `json:"clients"` // the busiest first
}

// StoresClient counts the requests of one client to one store.
type StoresClient struct {
	Principal string `json:"principal"`
	Requests  int64  `json:"requests"`
	Hits      int64  `json:"hits"`
}

// Client returns what is known of a client at now, which must be the present time; ok is
// false if the client is not counted.
func (b *Board) Client(now time.Time, principal string) (d ClientDetail, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.clients.named[principal]
	if r == nil {
		return d, false
	}
	n := b.second(now)
	requests, refused := r.sum(n)
	d.ClientCount = ClientCount{principal, requests, refused, mean(requests, min(n, windowSeconds)), r.quota.at(now)}
	d.Trail, d.Rule = r.trail.show(now, n), r.trail.rule
	for _, s := range r.trail.last() {
		d.Trail.Refused = append(d.Trail.Refused, perSecond(s.special))
		d.Trail.Remaining = append(d.Trail.Remaining, remainingOf(s))
	}
	d.Stores = []ClientsStore{}
	for _, s := range r.trail.stores {
		if s.at != nil {
			d.Stores = append(d.Stores, ClientsStore{*s.at, s.requests, s.hits})
		}
	}
	slices.SortFunc(d.Stores, func(x, y ClientsStore) int {
		return cmp.Or(cmp.Compare(y.Requests, x.Requests), x.Place.compare(y.Place))
	})
	d.Refusals = b.lastRefusals(maxShownRefusals, func(r *Refusal) bool { return r.Principal == principal })
	return d, true
}

// Store returns what is known of a store at now, which must be the present time; ok is
// false if the store is not counted.
func (b *Board) Store(now time.Time, at Place) (d StoreDetail, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.stores.named[at]
	if r == nil {
		return d, false
	}
	n := b.second(now)
	requests, hits := r.sum(n)
	d.StoreCount = StoreCount{at, requests, hits, r.misses(n), mean(requests, min(n, windowSeconds))}
	d.Trail = r.trail.show(now, n)
	for _, s := range r.trail.last() {
		d.Trail.Hits = append(d.Trail.Hits, perSecond(s.special))
	}
	d.Clients = []StoresClient{}
	for principal, client := range b.clients.named {
		for _, s := range client.trail.stores {
			if s.at != nil && *s.at == at {
				d.Clients = append(d.Clients, StoresClient{principal, s.requests, s.hits})
			}
		}
	}
	slices.SortFunc(d.Clients, func(x, y StoresClient) int {
		return cmp.Or(cmp.Compare(y.Requests, x.Requests), strings.Compare(x.Principal, y.Principal))
	})
	return d, true
}

// Refused returns the refusal of the request with that id; ok is false if it is not
// among the last [MaxRefusals].
func (b *Board) Refused(id string) (d RefusalDetail, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := b.refused - 1; i >= max(0, b.refused-MaxRefusals); i-- {
		if r := &b.refusals[i%MaxRefusals]; r.RequestID == id {
			return *r, true
		}
	}
	return d, false
}

// Found is the result of [Board.Search].
type Found struct {
	Clients  []string  `json:"clients"`
	Stores   []Place   `json:"stores"`
	Requests []Refusal `json:"requests"`
}

// maxFound is the number of results of each kind.
const maxFound = 20

// Search returns the clients and stores whose id or name, as nameOf returns it, contains
// text, and the refusals whose request id begins with it. Case does not matter.
func (b *Board) Search(text string, nameOf func(id string) string) Found {
	text = strings.ToLower(text)
	has := func(ids ...string) bool {
		return slices.ContainsFunc(ids, func(id string) bool {
			return strings.Contains(strings.ToLower(id), text) || strings.Contains(strings.ToLower(nameOf(id)), text)
		})
	}
	found := Found{Clients: []string{}, Stores: []Place{}}
	b.mu.Lock()
	defer b.mu.Unlock()
	for principal := range b.clients.named {
		if has(principal) {
			found.Clients = append(found.Clients, principal)
		}
	}
	for at := range b.stores.named {
		if has(at.Store, at.Environment, at.Organization) {
			found.Stores = append(found.Stores, at)
		}
	}
	slices.Sort(found.Clients)
	slices.SortFunc(found.Stores, Place.compare)
	found.Clients = found.Clients[:min(len(found.Clients), maxFound)]
	found.Stores = found.Stores[:min(len(found.Stores), maxFound)]
	found.Requests = b.lastRefusals(maxFound, func(r *Refusal) bool {
		return strings.HasPrefix(strings.ToLower(r.RequestID), text)
	})
	return found
}

// RefusalDetail is all that the board knows of a refused or failed request.
type RefusalDetail struct {
	Refusal
	Place
	Method            string  `json:"method"`
	Route             string  `json:"route,omitempty"`
	ClientAddr        string  `json:"clientAddr"`
	Cause             string  `json:"cause,omitempty"`
	DurationMs        float64 `json:"durationMs"`
	WaitedMs          float64 `json:"waitedMs,omitempty"`          // for the quota
	Quota             int     `json:"quota,omitempty"`             // in QuotaPeriod
	QuotaPeriod       float64 `json:"period,omitempty"`            // seconds
	Remaining         int     `json:"remaining,omitempty"`         // of the quota
	UpstreamAttempts  int     `json:"upstreamAttempts,omitempty"`  // requests sent to Object Store
	UpstreamStatus    int     `json:"upstreamStatus,omitempty"`    // of the last answer
	UpstreamRequestID string  `json:"upstreamRequestId,omitempty"` // of the last answer
	UpstreamError     string  `json:"upstreamError,omitempty"`     // kind of the last failure
}

// detailOf returns what is kept of x.
func detailOf(now time.Time, x *record.Exchange) RefusalDetail {
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	short := record.ShortName
	d := RefusalDetail{
		Refusal: Refusal{
			Time: now, RequestID: short(x.ID), Code: string(x.Code), Status: x.Status,
			Principal: short(x.Principal), Operation: x.Operation,
		},
		Method: short(x.Method), Route: x.Route, ClientAddr: short(x.ClientAddr), Cause: short(x.Cause),
		DurationMs: ms(x.Duration), WaitedMs: ms(x.Waited), UpstreamAttempts: x.UpstreamAttempts,
		UpstreamStatus: x.UpstreamStatus, UpstreamRequestID: short(x.UpstreamRequestID), UpstreamError: x.UpstreamError,
	}
	if x.Principal != "" { // without an identity, the names may be invented
		d.Place = placeOf(x)
	}
	if x.Charged {
		d.Quota, d.QuotaPeriod, d.Remaining = x.Quota, x.QuotaPeriod.Seconds(), x.Remaining
	}
	if x.Code == record.CodeDenied {
		d.Rule = short(x.Rule)
	}
	return d
}

// remainingOf returns the lowest rest of the quota in a step, NaN if it was not charged.
func remainingOf(s trailStep) float64 {
	if s.remaining == 0 {
		return math.NaN()
	}
	return float64(s.remaining - 1)
}

// ids returns the ids of organizations and environments in p.
func (p Place) ids() []string { return []string{p.Organization, p.Environment} }

// IDs returns the ids of clients, organizations and environments in d.
func (d ClientDetail) IDs() []string {
	ids := []string{d.Principal}
	for _, s := range d.Stores {
		ids = append(ids, s.ids()...)
	}
	return ids
}

// IDs returns the ids of clients, organizations and environments in d.
func (d StoreDetail) IDs() []string {
	ids := d.ids()
	for _, c := range d.Clients {
		ids = append(ids, c.Principal)
	}
	return ids
}

// IDs returns the ids of clients, organizations and environments in d.
func (d RefusalDetail) IDs() []string { return append(d.ids(), d.Principal) }

// IDs returns the ids of clients, organizations and environments in f.
func (f Found) IDs() []string {
	ids := slices.Clone(f.Clients)
	for _, at := range f.Stores {
		ids = append(ids, at.ids()...)
	}
	return ids
}
