package cache

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Fetch accompanies one request upstream: it says what to ask, takes the answer as it streams by, and stores, freshens or invalidates. It is
// for one goroutine at a time, and Close must be called whatever happens.
type Fetch struct {
	web         *Web
	question    WebQuestion
	wants       demands
	requestedAt time.Time
	key         digest
	on          Resources
	stamp       Stamp
	open        bool // the state was known: answers may be stored

	stored     *Entry // what may be asked about, or served if upstream has no answer
	validating bool   // Header asked about stored
	background bool
	fill       *Fill
}

func (f *Fetch) readOnly() bool {
	return f.question.Method == http.MethodGet || f.question.Method == http.MethodHead
}

// look chooses what to do.
func (f *Fetch) look(ctx context.Context) WebResult {
	if !f.readOnly() {
		return f.forward(forwardMethod, "")
	}
	if f.question.Content {
		return f.forward(ForwardBypass, "content")
	}
	reading, err := f.web.cache.options.Coherence.Read(ctx, f.on)
	f.stamp, f.open = reading.Stamp, err == nil && reading.Closed == ""
	if !f.open {
		return f.forward(ForwardBypass, detailCoherence)
	}
	h := f.question.Header
	e, others := f.web.find(f.key, h, f.stamp)
	switch {
	case f.wants.noStore:
		return f.forward(ForwardRequest, detailNoStore)
	case len(h["If-Match"]) > 0 || len(h["If-Unmodified-Since"]) > 0: // not for a cache to evaluate (RFC 9111 section 4.3.2)
		return f.forward(ForwardRequest, detailIfMatch)
	case e == nil && others:
		return f.forward(forwardVaryMiss, "")
	case e == nil:
		return f.forward(forwardURIMiss, "")
	}
	f.stored = e
	return f.choose()
}

// choose serves what is stored if the client and upstream both let it.
func (f *Fetch) choose() WebResult {
	e := f.stored
	age, left := e.Age(f.requestedAt), e.Left(f.requestedAt)
	stale, allowed := e.staleFor(f.requestedAt)
	window := e.web.control.whileRevalidate
	switch hit := (Status{Hit: true, TTL: left}); {
	case f.wants.noCache:
		return f.forward(ForwardRequest, detailNoCache)
	case left > 0 && f.wants.accepts(age, left):
		return WebResult{Entry: e, Status: hit}
	case left > 0:
		return f.forward(ForwardRequest, detailMaxAge)
	case !allowed || !f.wants.acceptsStale(age, stale):
		return f.forward(ForwardStale, "")
	case f.wants.hasMaxStale:
		return WebResult{Entry: e, Status: hit}
	case window.present && stale <= window.d && f.question.Method == http.MethodGet:
		hit.Detail = detailWhileRevalidate
		result := WebResult{Entry: e, Status: hit}
		if f.web.startRefresh(f.key) {
			f.background, result.Fetch = true, f
		}
		return result
	}
	return f.forward(ForwardStale, "")
}

// forward is a request that goes upstream.
func (f *Fetch) forward(forward Forward, detail string) WebResult {
	return WebResult{Fetch: f, Status: Status{Forward: forward, Detail: detail}}
}

// conditional are the request fields that make an answer depend on what the client has.
var conditional = []string{"If-None-Match", "If-Modified-Since", "If-Range", "Range"}

// Header turns out, a copy of the client's header, into the one that goes upstream: where something is stored that can be asked about,
// with its validators in the place of the client's conditions (RFC 9111 section 4.3.1), so that the answer is whole or about it.
func (f *Fetch) Header(out http.Header) {
	f.validating = false
	if f.stored == nil || f.question.Method != http.MethodGet || !revalidatable(f.stored.header) {
		return
	}
	f.validating = true
	for _, name := range conditional {
		out.Del(name)
	}
	if tag := f.stored.ETag(); tag != "" {
		out.Set("If-None-Match", tag)
	}
	if modified := f.stored.header.Get("Last-Modified"); modified != "" {
		out.Set("If-Modified-Since", modified)
	}
}

// Outcome is what an answer of upstream comes to.
type Outcome struct {
	Entry  *Entry // to be served in the place of upstream's answer
	Again  bool   // the answer is about something else than what was asked about: ask once more
	Status Status // of the answer, for Cache-Status
}

// Response takes the answer's status and header as upstream sent them, and its length, -1 where that is not known. It keeps no hold on
// header. Given is what became of the request at the cache.
func (f *Fetch) Response(ctx context.Context, status int, header http.Header, length int64, given Status) Outcome {
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
	case f.stored != nil && Failed(status) && f.mayServeStale(f.stored.web.control.ifError.d):
		o.Entry, o.Status = f.stored, f.staleStatus(detailIfError)
	case f.open && !f.wants.noStore:
		f.fill = f.newFill()
		stored, reason := f.fill.Response(status, header, length)
		o.Status.Stored = stored
		if reason != "" {
			o.Status.Detail = reason
		}
	}
	return o
}

// newFill is the filling with the answer.
func (f *Fetch) newFill() *Fill {
	return &Fill{cache: f.web.cache, key: f.key, requestedAt: f.requestedAt, fetch: f}
}

// rules are by what the answer is judged.
func (f *Fetch) rules() *rules {
	return &rules{shared: true, authorized: len(f.question.Header["Authorization"]) > 0, requestedAt: f.requestedAt}
}

// Write takes a part of the body. It always takes all of p.
func (f *Fetch) Write(p []byte) (int, error) {
	if f.fill != nil {
		return f.fill.Write(p)
	}
	return len(p), nil
}

// Close ends the fetch. Complete says that the answer's body ended as upstream meant it to. To call it again does nothing.
func (f *Fetch) Close(complete bool) {
	if f.fill != nil {
		f.fill.Close(complete)
		f.fill = nil
	}
	if f.background {
		f.web.endRefresh(f.key)
		f.background = false
	}
}

// Disconnected returns what may be served although upstream gave no answer at all: what is stored, unless upstream or the client wants it
// fresh (RFC 9111 section 4.2.4). Without an Entry: nothing.
func (f *Fetch) Disconnected() Outcome {
	if f.stored != nil && f.question.Method == http.MethodGet && f.mayServeStale(max(keptStale, f.stored.web.control.ifError.d)) {
		return Outcome{Entry: f.stored, Status: f.staleStatus("disconnected")}
	}
	return Outcome{}
}

// MustRevalidate reports whether something is stored that upstream lets nobody have without its word, so that its silence is a 504 (RFC 9111 section
// 5.2.2.2).
func (f *Fetch) MustRevalidate() bool { return f.stored != nil && f.stored.web.control.neverStale() }

// mayServeStale reports whether what is stored may be served although it should have been asked about, up to window after its freshness.
func (f *Fetch) mayServeStale(window time.Duration) bool {
	stale, allowed := f.stored.staleFor(f.requestedAt)
	return allowed && stale <= window && f.wants.acceptsStale(f.stored.Age(f.requestedAt), stale)
}

// staleStatus is the status of what is stored, served in need.
func (f *Fetch) staleStatus(detail string) Status {
	return Status{Hit: true, TTL: f.stored.Left(f.requestedAt), Detail: detail}
}

// changed invalidates what a successful unsafe request has changed: its target and what its answer names on the same host (RFC 9111
// section 4.4).
func (f *Fetch) invalidateChanged(ctx context.Context, status int, header http.Header) {
	if safe(f.question.Method) || status < http.StatusOK || status >= http.StatusBadRequest {
		return
	}
	f.web.invalidate(ctx, f.on)
	base, err := url.Parse("http://" + f.question.Host + f.question.Target)
	if err != nil {
		return
	}
	for _, line := range slices.Concat(header["Location"], header["Content-Location"]) {
		if named, err := base.Parse(line); err == nil && strings.EqualFold(named.Host, base.Host) {
			_, on := f.web.name(named.Host, named.RequestURI())
			f.web.invalidate(ctx, on)
		}
	}
}

// safe reports whether the method changes nothing upstream (RFC 9110 section 9.2.1); of unknown ones nothing is known.
func safe(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	}
	return false
}
