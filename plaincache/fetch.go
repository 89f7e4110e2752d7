package plaincache

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"osgate/cache/coherence"
	"osgate/cache/httpcache"
)

// Fetch handles one request to upstream: it sets the request's header, takes the answer
// while it streams by, and stores, freshens or invalidates entries. It is for one
// goroutine at a time, and Close must always be called.
type Fetch struct {
	cache       *Cache
	question    Question
	wants       httpcache.Demands
	requestedAt time.Time
	key         name
	on          coherence.Resources
	stamp       coherence.Stamp
	open        bool // the state was known: answers may be stored

	stored     *Entry // the entry that may be validated, or served if upstream does not answer
	validating bool   // the request validates stored
	background bool

	taking  bool // the answer will be stored if it is complete and small enough
	verdict httpcache.Verdict
	status  int
	header  http.Header
	body    httpcache.Intake
}

func (f *Fetch) readOnly() bool {
	return f.question.Method == http.MethodGet || f.question.Method == http.MethodHead
}

// look chooses how to handle the request.
func (f *Fetch) look(ctx context.Context) Result {
	if !f.readOnly() {
		return f.forward(forwardMethod, "")
	}
	if f.question.HasBody {
		return f.forward(httpcache.ForwardBypass, "content")
	}
	reading, err := f.cache.writes.Read(ctx, f.on)
	f.stamp, f.open = reading.Stamp, err == nil && reading.Closed == ""
	if !f.open {
		return f.forward(httpcache.ForwardBypass, "coherence-unavailable")
	}
	h := f.question.Header
	e, others := f.cache.find(f.key, h, f.stamp)
	switch {
	case f.wants.NoStore:
		return f.forward(httpcache.ForwardRequest, httpcache.DetailNoStore)
	case len(h["If-Match"]) > 0 || len(h["If-Unmodified-Since"]) > 0:
		// A cache must not evaluate it (RFC 9111 section 4.3.2).
		return f.forward(httpcache.ForwardRequest, httpcache.DetailIfMatch)
	case e == nil && others:
		return f.forward(forwardVaryMiss, "")
	case e == nil:
		return f.forward(forwardURIMiss, "")
	}
	f.stored = e
	return f.choose()
}

// find returns the newest stored answer that matches a request with this header, and
// whether others are stored. It must have the given stamp: an answer that was stored
// before an invalidation does not count.
func (c *Cache) find(key name, header http.Header, stamp coherence.Stamp) (e *Entry, others bool) {
	held, ok := c.entries.GetIfPresent(key)
	if !ok {
		return nil, false
	}
	for _, e := range held.variants {
		switch {
		case !coherence.Admit(e.stamp, stamp):
		case e.selects(header):
			return e, true
		default:
			others = true
		}
	}
	return nil, others
}

// choose serves the stored entry if the client and upstream both allow it.
func (f *Fetch) choose() Result {
	e := f.stored
	age, left := e.Age(f.requestedAt), e.Left(f.requestedAt)
	stale, allowed := e.staleFor(f.requestedAt)
	window := e.control.WhileRevalidate
	switch hit := (httpcache.Status{Hit: true, TTL: left}); {
	case f.wants.NoCache:
		return f.forward(httpcache.ForwardRequest, httpcache.DetailNoCache)
	case left > 0 && f.wants.Accepts(age, left):
		return Result{Entry: e, Status: hit}
	case left > 0:
		return f.forward(httpcache.ForwardRequest, httpcache.DetailMaxAge)
	case !allowed || !f.wants.AcceptsStale(age, stale):
		return f.forward(httpcache.ForwardStale, "")
	case f.wants.HasMaxStale:
		return Result{Entry: e, Status: hit}
	case window.Present && stale <= window.Length && f.question.Method == http.MethodGet:
		hit.Detail = httpcache.DetailWhileRevalidate
		result := Result{Entry: e, Status: hit}
		if f.cache.startRefresh(f.key) {
			f.background, result.Fetch = true, f
		}
		return result
	}
	return f.forward(httpcache.ForwardStale, "")
}

// startRefresh reports whether no other request validates the entry of key in the
// background. If it returns true, the caller must call endRefresh.
func (c *Cache) startRefresh(key name) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refreshing[key] {
		return false
	}
	c.refreshing[key] = true
	return true
}

// forward is the result for a request that is sent upstream.
func (f *Fetch) forward(forward httpcache.Forward, detail string) Result {
	return Result{Fetch: f, Status: httpcache.Status{Forward: forward, Detail: detail}}
}

// conditional are the request fields that make an answer depend on the client's own
// copy.
var conditional = []string{"If-None-Match", "If-Modified-Since", "If-Range", "Range"}

// Header changes out, a copy of the client's header, to the header that is sent
// upstream. If a stored entry can be validated, its validators replace the client's
// conditions (RFC 9111 section 4.3.1), so that the answer is either complete or about
// the stored entry.
func (f *Fetch) Header(out http.Header) {
	f.validating = false
	if f.stored == nil || f.question.Method != http.MethodGet || !httpcache.Revalidatable(f.stored.Header) {
		return
	}
	f.validating = true
	for _, name := range conditional {
		out.Del(name)
	}
	if tag := f.stored.ETag(); tag != "" {
		out.Set("If-None-Match", tag)
	}
	if modified := f.stored.Header.Get("Last-Modified"); modified != "" {
		out.Set("If-Modified-Since", modified)
	}
}

// Outcome is how to handle an answer of upstream.
type Outcome struct {
	Entry  *Entry           // the entry to serve instead of upstream's answer
	Again  bool             // the answer is about another content than the validated one: send the request once more
	Status httpcache.Status // of the answer, for Cache-Status
}

// Response takes the answer's status and header as upstream sent them, and its length,
// -1 if it is not known. It keeps no reference to header. Given is the status of the
// request in the cache.
func (f *Fetch) Response(
	ctx context.Context, status int, header http.Header, length int64, given httpcache.Status,
) Outcome {
	o := Outcome{Status: given}
	switch {
	case !f.readOnly():
		f.invalidateChanged(ctx, status, header)
	case f.question.Method == http.MethodHead:
		f.learnHead(ctx, status, header)
	case f.validating && status == http.StatusNotModified && !f.stored.isAbout(header):
		f.stored, o.Again = nil, true
	case f.validating && status == http.StatusNotModified:
		o.Entry = f.freshen(ctx, header)
		o.Status.Detail = "validated"
	case f.stored != nil && httpcache.Failed(status) && f.mayServeStale(f.stored.control.IfError.Length):
		o.Entry, o.Status = f.stored, f.staleStatus(httpcache.DetailIfError)
	case f.open && !f.wants.NoStore:
		stored, reason := f.take(status, header, length)
		o.Status.Stored = stored
		if reason != "" {
			o.Status.Detail = reason
		}
	}
	return o
}

// take begins to store the answer. If it is not stored, reason is a token for
// [httpcache.Status].Detail.
func (f *Fetch) take(status int, header http.Header, length int64) (stored bool, reason string) {
	if f.verdict = f.judge(status, header); f.verdict.Refused != "" {
		return false, f.verdict.Refused
	}
	f.body = httpcache.Intake{Max: f.cache.options.EntryBytes, Budget: &f.cache.underWay}
	if !f.body.Expect(length) {
		return false, "too-large"
	}
	f.status, f.header, f.taking = status, httpcache.Replayable(header, &f.verdict.Control), true
	return true, ""
}

// judge is [httpcache.JudgeResource] for an answer to the request.
func (f *Fetch) judge(status int, header http.Header) httpcache.Verdict {
	return httpcache.JudgeResource(status, header, len(f.question.Header["Authorization"]) > 0, f.requestedAt)
}

// Write keeps a copy of a part of the body. It always accepts all of p. An answer that
// is too large is not stored.
func (f *Fetch) Write(p []byte) (int, error) {
	if f.taking && !f.body.Append(p) {
		f.drop()
	}
	return len(p), nil
}

func (f *Fetch) drop() {
	f.taking, f.header = false, nil
	f.body.Drop()
}

// Close ends the fetch. Complete reports whether the answer's body ended as upstream
// meant it to. An answer that was cut is never stored, nor one whose length differs from
// its Content-Length. A second call has no effect.
func (f *Fetch) Close(complete bool) {
	if f.taking {
		if complete && f.body.Whole() {
			f.put(f.newEntry(f.status, f.header, f.body.Body(), &f.verdict))
		}
		f.drop()
	}
	if f.background {
		f.cache.endRefresh(f.key)
		f.background = false
	}
}

func (c *Cache) endRefresh(key name) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.refreshing, key)
}

// Disconnected returns the entry that may be served although upstream did not answer:
// the stored entry, unless upstream or the client requires a fresh one (RFC 9111
// section 4.2.4). Entry is nil if there is none.
func (f *Fetch) Disconnected() Outcome {
	if f.stored != nil && f.question.Method == http.MethodGet &&
		f.mayServeStale(max(keptStale, f.stored.control.IfError.Length)) {
		return Outcome{Entry: f.stored, Status: f.staleStatus("disconnected")}
	}
	return Outcome{}
}

// MustRevalidate reports whether an entry is stored that upstream forbids to serve
// without its validation, so that no answer from upstream means a 504 (RFC 9111 section
// 5.2.2.2).
func (f *Fetch) MustRevalidate() bool { return f.stored != nil && f.stored.control.NeverStale() }

// mayServeStale reports whether the stored entry may be served without the validation
// that it needs, up to window after its freshness.
func (f *Fetch) mayServeStale(window time.Duration) bool {
	stale, allowed := f.stored.staleFor(f.requestedAt)
	return allowed && stale <= window && f.wants.AcceptsStale(f.stored.Age(f.requestedAt), stale)
}

// staleStatus is the status of a stored entry that is served stale.
func (f *Fetch) staleStatus(detail string) httpcache.Status {
	return httpcache.Status{Hit: true, TTL: f.stored.Left(f.requestedAt), Detail: detail}
}

// invalidateChanged invalidates the entries that a successful unsafe request has
// changed: its target, and the addresses on the same host that its answer names (RFC
// 9111 section 4.4).
func (f *Fetch) invalidateChanged(ctx context.Context, status int, header http.Header) {
	if safe(f.question.Method) || status < http.StatusOK || status >= http.StatusBadRequest {
		return
	}
	f.cache.invalidate(ctx, f.on)
	base, err := url.Parse("http://" + f.question.Host + f.question.Target)
	if err != nil {
		return
	}
	for _, line := range slices.Concat(header["Location"], header["Content-Location"]) {
		if named, err := base.Parse(line); err == nil && strings.EqualFold(named.Host, base.Host) {
			_, on := addressOf(named.Host, named.RequestURI())
			f.cache.invalidate(ctx, on)
		}
	}
}

// safe reports whether the method changes nothing upstream (RFC 9110 section 9.2.1).
// Unknown methods count as unsafe.
func safe(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	}
	return false
}

// isAbout reports whether a 304 with this header is about e: its entity tag, if it has
// one, must be e's (RFC 9111 section 4.3.4).
func (e *Entry) isAbout(header http.Header) bool {
	tag := header.Get("Etag")
	return tag == "" || e.ETag() == "" || strings.TrimPrefix(tag, "W/") == strings.TrimPrefix(e.ETag(), "W/")
}

// freshen applies a 304 to the stored answer, and returns the answer in its new state.
func (f *Fetch) freshen(ctx context.Context, header http.Header) *Entry {
	old := f.stored
	merged := updated(old.Header, header)
	judged := merged.Clone()
	for _, name := range []string{"Age", "Date"} { // of this answer, not of the stored one
		judged.Del(name)
		if values := header[name]; len(values) > 0 {
			judged[name] = values
		}
	}
	verdict := f.judge(old.Status, judged)
	e := f.newEntry(old.Status, merged, old.Body, &verdict)
	if verdict.Refused != "" {
		f.cache.invalidate(ctx, f.on)
		return e
	}
	f.put(e)
	return e
}

// updated returns the stored header with the fields of a later one (RFC 9111 section
// 3.2), except those that describe the content, which has not changed.
func updated(stored, later http.Header) http.Header {
	merged := stored.Clone()
	control := httpcache.ControlOf(later)
	for name, values := range httpcache.Replayable(later, &control) {
		switch name {
		case "Content-Encoding", "Content-Range", "Content-Type":
		default:
			merged[name] = slices.Clone(values)
		}
	}
	if len(later["Date"]) == 0 {
		merged.Del("Date")
	}
	return merged
}

// learnHead compares the stored answer with the answer to a HEAD (RFC 9111 section
// 4.3.5): it freshens the entry if both are the same, otherwise it invalidates the
// entry.
func (f *Fetch) learnHead(ctx context.Context, status int, header http.Header) {
	if status != http.StatusOK || f.stored == nil || f.stored.Status != http.StatusOK {
		return
	}
	length := header.Get("Content-Length")
	same := length == "" || length == strconv.Itoa(len(f.stored.Body))
	for _, name := range []string{"Etag", "Last-Modified"} {
		value := header.Get(name)
		same = same && (value == "" || value == f.stored.Header.Get(name))
	}
	if !same {
		f.cache.invalidate(ctx, f.on)
		return
	}
	f.freshen(ctx, header)
}
