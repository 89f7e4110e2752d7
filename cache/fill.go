package cache

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"osgate/cache/coherence"
	"osgate/cache/httpcache"
	"osgate/objectstore"
)

// Fill takes an answer while it streams to the client, and stores it when it is
// complete. It is for one goroutine at a time, and Close must always be called. It
// never fails the client: an answer that cannot be kept is dropped.
type Fill struct {
	cache       *Cache
	key         digest
	operation   objectstore.Operation
	location    string
	shared      bool
	stamp       coherence.Stamp
	on          coherence.Resources
	requestedAt time.Time
	limit       time.Duration // freshness of the kind; 0: learn from the answer, do not store it
	off         string        // why limit is 0
	flight      *flight       // the requests that wait for this answer; nil: none can wait

	verdict httpcache.Verdict
	status  int
	header  http.Header
	body    httpcache.Intake
	taking  bool
}

// Response takes the answer's status and header, exactly as upstream sent them and
// before the gateway adds its own, and the answer's length, -1 if it is not known. It
// reports whether the answer will be stored if it is complete and small enough; if not,
// reason is a token for [Status].Detail. It keeps no reference to header.
func (f *Fill) Response(status int, header http.Header, contentLength int64) (willStore bool, reason string) {
	if f.taking {
		return true, ""
	}
	f.verdict = f.judge(status, header)
	shared := f.flight != nil && sharable(&f.verdict, header)
	if !shared {
		f.unshare()
	}
	if f.verdict.Refused != "" && !shared && !learnable(&f.operation, status) {
		return false, f.verdict.Refused
	}
	f.status = status
	if f.head() {
		contentLength = 0
	}
	if !f.body.Expect(contentLength) {
		f.unshare()
		f.verdict.Refused = "too-large"
		return false, f.verdict.Refused
	}
	f.header = httpcache.Impersonal(header, f.head())
	if shared && f.verdict.Refused != "" {
		sharedHeader(f.header, header)
	}
	f.taking = true
	return f.verdict.Refused == "", f.verdict.Refused
}

// sharedHeader adds to a kept header the fields of an answer that is not stored that
// apply to all requests of that moment.
func sharedHeader(kept, h http.Header) {
	for _, name := range []string{"Retry-After", "Www-Authenticate"} {
		if values, ok := h[name]; ok {
			kept[name] = slices.Clone(values)
		}
	}
}

// judge is the verdict under the freshness of the kind, which never exceeds the life of
// the store's values.
func (f *Fill) judge(status int, header http.Header) httpcache.Verdict {
	limit := f.limit
	if limit == 0 {
		return httpcache.Verdict{Refused: f.off}
	}
	times := f.cache.learned.of(f.location, f.operation.Ref)
	v := judgeOperation(&f.operation, times.longest(limit, &f.operation), f.shared, status, header)
	if v.Refused == "" && status != http.StatusNotFound && f.cache.lacksTTL(times, &f.operation, f.requestedAt) {
		v.Refused = detailTTL
	}
	return v
}

func (f *Fill) head() bool { return f.operation.Method() == http.MethodHead }

// Write keeps a copy of p. It always accepts all of p. It drops the entry if the body
// exceeds [Options].EntryBytes or the budget for answers that are being received.
func (f *Fill) Write(p []byte) (int, error) {
	if !f.taking || len(p) == 0 {
		return len(p), nil
	}
	if !f.body.Append(p) {
		f.outgrow()
	}
	return len(p), nil
}

// outgrow drops the entry and wakes the followers. The bytes that were read ahead stay,
// and stay charged, until Close: the client has not received them yet.
func (f *Fill) outgrow() {
	if f.flight == nil {
		f.giveUp()
		return
	}
	f.taking = false
	f.finishFlight(flightResult{})
}

// unshare makes each follower send its own request upstream.
func (f *Fill) unshare() {
	f.finishFlight(flightResult{})
	f.flight = nil
}

// finishFlight wakes the followers with the result of the fetch.
func (f *Fill) finishFlight(how flightResult) {
	if f.flight != nil {
		f.cache.flights.finish(f.flight, how)
	}
}

// giveUp drops the bytes that were kept.
func (f *Fill) giveUp() {
	f.taking, f.header = false, nil
	f.body.Drop()
}

// Close ends the answer. Complete reports whether the answer ended as upstream meant it
// to. An answer that was cut is never stored, nor one whose length differs from its
// Content-Length. The entry has the generations and the age of the moment before the
// fetch. A second call has no effect.
func (f *Fill) Close(complete bool) {
	defer f.finishFlight(flightResult{})
	defer f.giveUp()
	if !f.taking || !complete || !f.body.Whole() {
		return
	}
	f.cache.learned.learn(f)
	if f.verdict.Refused != "" && !f.awaited() {
		return
	}
	e := f.entry()
	if f.verdict.Refused == "" {
		f.cache.keep(f.key, e)
	}
	f.finishFlight(flightResult{entry: e}) // after it is stored, so that a request that finds no flight finds the entry
}

// keep stores e in this process and for the other replicas.
func (c *Cache) keep(key digest, e *Entry) {
	c.store(key, e)
	if c.options.Shared != nil {
		c.options.Shared.Keep(sharedName(key, &e.stamp), e)
	}
}

// store keeps the entry of a fetch.
func (c *Cache) store(key digest, e *Entry) {
	c.put(key, e)
	c.counts.fills.Add(1)
}

// awaited reports whether other requests may use the answer.
func (f *Fill) awaited() bool { return f.flight != nil && sharable(&f.verdict, f.header) }

// entry makes the entry of the complete answer.
func (f *Fill) entry() *Entry {
	e := newEntry(f.status, f.header, f.body.Body(), f.head())
	e.stamp, e.on = f.stamp, f.on
	e.RequestedAt, e.InitialAge, e.Lifetime = f.requestedAt, f.verdict.Age, f.verdict.Lifetime
	if f.verdict.Refused == "" {
		e.stale = f.staleness()
	}
	return e
}

// newEntry makes the entry of a complete answer. It takes ownership of body and header,
// which must contain only fields that may be replayed.
func newEntry(status int, header http.Header, body []byte, head bool) *Entry {
	e := &Entry{Response: httpcache.Response{Status: status, Header: header, Body: slices.Clip(body), Head: head}}
	own := make([]string, 0, 3) // one piece of memory for the values of our own fields
	set := func(name, value string) {
		own = append(own, value)
		e.Header[name] = slices.Clip(own[len(own)-1:])
	}
	if e.Status == http.StatusOK && !head && e.ETag() == "" {
		set("Etag", httpcache.OwnETag(e.Header.Get("Content-Type"), body))
	}
	if !head { // here, so that a hit does not format it
		set("Content-Length", strconv.Itoa(len(body)))
	}
	if len(e.Header["Cache-Control"]) == 0 {
		set("Cache-Control", DefaultControl)
	}
	return e
}

// maxNotFound is how long the absence of a key may be served: a 404 is cheap to fetch
// again, and other clients than those of the gateway may create the key.
const maxNotFound = 2 * time.Second

// judgeOperation judges an answer to o by its status and header. The lifetime is limit,
// or less if the header states less (RFC 9111 section 4.2.1: s-maxage before max-age
// before Expires); upstream cannot raise the operator's limit. Shared reports that the
// entry will be served to more than one principal. The lifetime of an answer that may
// be stored is positive and longer than its age.
func judgeOperation(
	o *objectstore.Operation, limit time.Duration, shared bool, status int, h http.Header,
) httpcache.Verdict {
	v := httpcache.Verdict{Control: httpcache.ControlOf(h), Age: httpcache.AgeOf(h)}
	if v.Refused = refusedOperation(o, status, h, &v.Control, shared); v.Refused != "" {
		return v
	}
	v.Lifetime = limit
	if status == http.StatusNotFound {
		v.Lifetime = min(v.Lifetime, maxNotFound)
	}
	if v.Control.HasLifetime {
		v.Lifetime = min(v.Lifetime, v.Control.Lifetime)
	}
	if v.Lifetime <= v.Age {
		v.Refused = "expired"
	}
	return v
}

// refusedOperation returns the reason not to store an answer to o, empty if there is
// none.
func refusedOperation(
	o *objectstore.Operation, status int, h http.Header, control *httpcache.Control, shared bool,
) string {
	if !storable(o, status) {
		return "status"
	}
	if refused := refusedContent(h); refused != "" {
		return refused
	}
	switch {
	case control.NoStore:
		return "no-store"
	case control.NoCache.Present:
		// It could be stored, but each use needs a validation, and upstream documents no
		// validator.
		return "no-cache"
	case control.Private.Present && shared:
		return "private"
	}
	return ""
}

// storable reports whether answers with this status are stored for the operation: a
// 200; for HEAD also a 204, which OSv2 sends; for a key also its absence.
func storable(o *objectstore.Operation, status int) bool {
	switch status {
	case http.StatusOK:
		return true
	case http.StatusNoContent:
		return o.Kind == objectstore.HeadKey
	case http.StatusNotFound:
		return o.CacheKind() == objectstore.CacheKey
	}
	return false
}

// refusedContent refuses answers that are right only for some of the requests with the
// same key: an answer with a Vary field that the key does not contain, with a content
// coding, or with a part of the content. Vary on Accept-Encoding is harmless, because
// that field is never sent upstream.
func refusedContent(h http.Header) string {
	for _, line := range h["Vary"] {
		for name := range strings.SplitSeq(line, ",") {
			name = strings.TrimSpace(name)
			if name != "" && !strings.EqualFold(name, "Accept-Encoding") && !chooses(name) {
				return "vary"
			}
		}
	}
	if coding := h.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return "content-encoding"
	}
	if h.Get("Content-Range") != "" {
		return "partial"
	}
	return ""
}

// chooses reports whether the values of the header are part of an entry's name.
func chooses(name string) bool {
	name = http.CanonicalHeaderKey(name)
	return slices.Contains(ChoosingHeaders, name) || strings.HasPrefix(name, ChoosingPrefix)
}
