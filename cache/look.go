package cache

import (
	"context"
	"net/http"
	"time"

	"osgate/cache/coherence"
	"osgate/cache/httpcache"
	"osgate/objectstore"
)

// Details of a [Status].
const (
	detailDisabled  = "disabled"
	detailRule      = "rule"
	detailQuery     = "query"
	detailBody      = "body"
	detailGrant     = "grant-expired"
	detailCoherence = "coherence-unavailable"
	detailTTL       = "ttl-unknown"
)

// Look answers q from the store, or returns how to forward it. Now is the time of the
// call. Look never fails: if coherence is not known, the request bypasses the cache.
// Look is for one request on its own: it does not wait for the fetch of another request
// and serves no stale entry. If the request uses the same Redis for other things too,
// Look costs one round trip more than a [Search].
func (c *Cache) Look(ctx context.Context, q Question, now time.Time) Result {
	s := c.prepare(q)
	s.single = true
	return s.Look(ctx, now)
}

// Prepare returns the search for an answer to q. It sends nothing, does not wait and
// never fails.
func (c *Cache) Prepare(q Question) *Search {
	s := c.prepare(q)
	return &s
}

// Search is a Look in two steps, for a request that makes other round trips between
// them. [Search.WithRead] sends the read of the generations along with other commands
// for the same Redis, and [Search.Look] completes it. WithRead may be left out. A
// Search is for one request and one goroutine at a time.
type Search struct {
	cache       *Cache
	question    Question
	wants       httpcache.Demands
	detail      string                // why limit is 0
	limit       time.Duration         // freshness of the kind
	on          coherence.Resources   // the resources that the answer depends on; empty: no generations are needed
	pendingRead coherence.PendingRead // the read that WithRead has started; nil: none
	known       Result                // the result if no generations are needed
	single      bool                  // do not share a fetch with other requests, serve no stale entry

	now    time.Time // when the generations were read
	key    digest
	stamp  coherence.Stamp
	target digest       // the kind of read for which the token needs a grant
	token  coherence.ID // the token's id in the shared store; zero: not known

	flight *flight          // the fetch of another request to wait for
	missed httpcache.Status // the reason to send the request upstream if that fetch brings no answer
	stale  *Entry           // the entry to serve if upstream fails
}

// WithRead returns a context for the round trips that are made for the request before
// Look, such as its quota. The read of the generations is sent along with them.
// WithRead returns ctx itself if the search needs no generations or they cannot be sent
// along.
func (s *Search) WithRead(ctx context.Context) context.Context {
	if s.on.Len() == 0 {
		return ctx
	}
	ctx, s.pendingRead = s.startRead(ctx)
	return ctx
}

// startRead begins the search's Read, with its token's grant if grants are shared. The
// PendingRead is nil if the read cannot be sent along.
func (s *Search) startRead(ctx context.Context) (context.Context, coherence.PendingRead) {
	if s.sharesGrants() {
		s.target = grantTarget(&s.question)
		return s.cache.options.SharedGrants.StartReadFor(ctx, s.on, s.cache.sharedGrantKey(s.question.Token, s.target))
	}
	if starter, ok := s.cache.options.Coherence.(coherence.ReadStarter); ok {
		return starter.StartRead(ctx, s.on)
	}
	return ctx, nil
}

// Look answers the question from the store, or returns how to forward it, at the time
// now. It never fails: if coherence is not known, the request bypasses the cache. Ctx
// may differ from the context of WithRead. A second call reads the generations again.
func (s *Search) Look(ctx context.Context, now time.Time) Result {
	if !cacheable(&s.question.Operation) {
		return Result{}
	}
	result := s.known
	if s.on.Len() > 0 {
		s.now = now
		result = s.run(ctx)
	}
	s.cache.counts.looked(&result)
	if s.wants.OnlyIfCached && result.Entry == nil { // its Fill holds no bytes yet
		// An answer that the gateway makes itself has no Cache-Status (RFC 9211 section 2).
		return Result{OnlyIfCached: true}
	}
	return result
}

func (n *counts) looked(r *Result) {
	switch {
	case r.Status.Hit:
		n.hits.Add(1)
		if r.Status.TTL <= 0 {
			n.stale.Add(1)
		}
	case r.Status.Forward == httpcache.ForwardRequest:
		n.requests.Add(1)
	case r.Status.Forward == httpcache.ForwardBypass:
		n.bypasses.Add(1)
	default:
		n.misses.Add(1)
	}
}

// cacheable reports whether at least some requests of this kind of operation are
// cached.
func cacheable(o *objectstore.Operation) bool {
	switch o.Kind {
	case objectstore.ListRegions, objectstore.ListStores, objectstore.GetStore, objectstore.ListPartitions,
		objectstore.ListKeys, objectstore.HeadKey, objectstore.GetKey:
		return !o.Confirmable
	default:
		return false
	}
}

// prepare decides which generations are needed.
func (c *Cache) prepare(q Question) Search {
	s := Search{cache: c, question: q}
	o := &s.question.Operation
	if !cacheable(o) {
		return s
	}
	s.wants = c.demandsOf(q.Header)
	s.limit, s.detail = c.freshness(&s.question)
	switch {
	case o.CacheKind() == objectstore.CacheNone:
		s.known = noEntry(httpcache.ForwardBypass, detailQuery)
	case s.limit == 0 && !describesStores(o):
		s.known = noEntry(httpcache.ForwardBypass, s.detail)
	case q.HasBody: // the entry's name does not cover the body
		s.known = noEntry(httpcache.ForwardBypass, detailBody)
	case s.wants.NoStore:
		s.known = noEntry(httpcache.ForwardRequest, httpcache.DetailNoStore)
	case len(q.Header["If-Match"]) > 0: // a cache must not evaluate it (RFC 9111 section 4.3.2)
		s.known = noEntry(httpcache.ForwardRequest, httpcache.DetailIfMatch)
	default:
		s.on = resourcesOf(q.Location, o.Ref, o.DependsOn())
	}
	return s
}

// run is the search that needs generations.
func (s *Search) run(ctx context.Context) Result {
	reading, err := s.read(ctx)
	switch {
	case err != nil:
		return noEntry(httpcache.ForwardBypass, detailCoherence)
	case reading.Closed != "":
		return noEntry(httpcache.ForwardBypass, reading.Closed)
	}
	s.stamp, s.key = reading.Stamp, entryKey(&s.question)
	switch {
	case s.limit == 0:
		return s.fill(httpcache.ForwardBypass, s.detail)
	case s.wants.NoCache:
		return s.fill(httpcache.ForwardRequest, httpcache.DetailNoCache)
	}
	return s.choose(ctx, s.now)
}

// read returns the result of the pending read, once, or reads the generations itself.
// It merges the state of the token that came with them.
func (s *Search) read(ctx context.Context) (reading coherence.Reading, err error) {
	shares := s.sharesGrants()
	s.target = grantTarget(&s.question)
	switch pendingRead := s.pendingRead; {
	case pendingRead != nil:
		s.pendingRead = nil
		reading, err = pendingRead.Read(ctx)
	case shares:
		reading, err = s.cache.options.SharedGrants.ReadFor(ctx, s.on,
			s.cache.sharedGrantKey(s.question.Token, s.target))
	default:
		reading, err = s.cache.options.Coherence.Read(ctx, s.on)
	}
	if s.token = reading.TokenInfo.ID; shares && s.token != (coherence.ID{}) {
		s.cache.grants.Learn(s.question.Token, s.target, &reading.TokenInfo)
	}
	return reading, err
}

// choose serves the stored entry, or returns how to send the request upstream.
func (s *Search) choose(ctx context.Context, now time.Time) Result {
	found := s.find(now)
	switch {
	case found.Entry != nil:
		return s.refresh(found)
	case found.Status.Forward == httpcache.ForwardRequest: // the client requires an answer from upstream
		return s.fill(httpcache.ForwardRequest, found.Status.Detail)
	}
	return s.fetch(ctx, found.Status, now)
}

// find returns the entry if it may be served, otherwise the reason to send the request
// upstream.
func (s *Search) find(now time.Time) Result {
	e, ok := s.cache.entries.GetIfPresent(s.key)
	if !ok || !coherence.Admit(e.stamp, s.stamp) {
		return noEntry(httpcache.ForwardMiss, "")
	}
	return s.serve(e, now)
}

// serve is find for an entry that has the stamp of the read.
func (s *Search) serve(e *Entry, now time.Time) Result {
	age := e.Age(now)
	left := min(e.Left(now), s.limit-age) // a rule may have been set after the entry was stored
	switch granted, held := s.granted(now); {
	case !granted && held:
		return noEntry(httpcache.ForwardMiss, detailGrant)
	case !granted: // no detail: this token must not learn that an entry is stored
		return noEntry(httpcache.ForwardMiss, "")
	case left <= 0:
		return s.outdated(e, age, left)
	case !s.wants.Accepts(age, left):
		return noEntry(httpcache.ForwardRequest, httpcache.DetailMaxAge)
	}
	return Result{Entry: e, Status: httpcache.Status{Hit: true, TTL: left}}
}

// noEntry is the result for a request that is sent upstream and not stored.
func noEntry(forward httpcache.Forward, detail string) Result {
	return Result{Status: httpcache.Status{Forward: forward, Detail: detail}}
}

// fill is the result for a request that is sent upstream and may be stored.
func (s *Search) fill(forward httpcache.Forward, detail string) Result {
	return Result{Status: httpcache.Status{Forward: forward, Detail: detail}, Fill: &Fill{
		cache: s.cache, key: s.key, operation: s.question.Operation, location: s.question.Location,
		shared: s.question.Shared, stamp: s.stamp, on: s.on, requestedAt: s.now, limit: s.limit,
		off: s.detail, body: s.cache.intake(),
	}}
}

// describesStores reports whether the cache learns from the answer even if it does not
// store it.
func describesStores(o *objectstore.Operation) bool {
	return o.Kind == objectstore.GetStore || o.Kind == objectstore.ListStores
}

// TTL returns the configured freshness of an answer to o, 0 if it is not cached.
func (c *Cache) TTL(o objectstore.Operation) time.Duration {
	ttl, _ := c.freshness(&Question{Operation: o})
	return ttl
}

// demandsOf returns the demands of a client's header that the options allow.
func (c *Cache) demandsOf(h http.Header) httpcache.Demands {
	d := httpcache.DemandsOf(h)
	if c.options.IgnoreClients {
		return httpcache.Demands{OnlyIfCached: d.OnlyIfCached, HasMaxStale: d.HasMaxStale, MaxStale: d.MaxStale}
	}
	return d
}

// staleness is how long an answer may be served after it is no longer fresh: while it
// is fetched again, and if that fetch fails.
type staleness struct{ whileRevalidate, ifError time.Duration }

// longest is how long an entry must be kept after it is no longer fresh.
func (s staleness) longest() time.Duration { return max(s.whileRevalidate, s.ifError) }

// staleness returns the times that the operator allows, or less if upstream's header
// states less (RFC 5861 sections 3 and 4). They are zero if upstream forbids to serve
// the answer stale, and for the absence of a key. They never exceed the life of the
// store's values.
func (f *Fill) staleness() staleness {
	control := &f.verdict.Control
	if f.status == http.StatusNotFound || control.NeverStale() {
		return staleness{}
	}
	o := &f.cache.options
	s := staleness{o.StaleWhileRevalidate, o.StaleIfError}
	if control.WhileRevalidate.Present {
		s.whileRevalidate = min(s.whileRevalidate, control.WhileRevalidate.Length)
	}
	if control.IfError.Present {
		s.ifError = min(s.ifError, control.IfError.Length)
	}
	if life := f.cache.learned.of(f.location, f.operation.Ref).ttl; life > 0 {
		left := max(0, life-f.verdict.Lifetime)
		s = staleness{min(s.whileRevalidate, left), min(s.ifError, left)}
	}
	return s
}

// outdated handles an entry that is granted but no longer fresh. Within the operator's
// bound it is served. One request gets a Fill too and fetches the entry again; all
// others get the entry alone.
func (s *Search) outdated(e *Entry, age, left time.Duration) Result {
	if s.single || !s.wants.AcceptsStale(age, -left) {
		return noEntry(httpcache.ForwardStale, "")
	}
	s.stale = e
	if left <= -e.stale.whileRevalidate {
		return noEntry(httpcache.ForwardStale, "")
	}
	return Result{Entry: e, Status: httpcache.Status{Hit: true, TTL: left, Detail: httpcache.DetailWhileRevalidate}}
}

// refresh adds the Fill to a result that is served stale, unless a fetch is under way
// already.
func (s *Search) refresh(result Result) Result {
	if result.Entry == nil || result.Status.TTL > 0 {
		return result
	}
	if f, leads := s.cache.flights.join(s.flightKey(), false, true); leads {
		result.Fill = s.fill(httpcache.ForwardStale, "").Fill
		result.Fill.flight = f
	}
	return result
}

// Fallback returns a stored entry that is no longer fresh, if it may be served because
// upstream answers 500, 502, 503 or 504, or does not answer (RFC 5861 section 4). It is
// called after [Search.Look], for a request that began then: a write that was marked
// since overlaps the request. The token's grant must still be alive.
func (s *Search) Fallback(now time.Time) (Result, bool) {
	if s.stale == nil {
		return Result{}, false
	}
	left := s.stale.Left(now)
	if left <= -s.stale.stale.ifError || !s.wants.AcceptsStale(s.stale.Age(now), -left) {
		return Result{}, false
	}
	if granted, _ := s.granted(now); !granted {
		return Result{}, false
	}
	s.cache.counts.fallbacks.Add(1)
	return Result{Entry: s.stale, Status: httpcache.Status{Hit: true, TTL: left, Detail: httpcache.DetailIfError}}, true
}
