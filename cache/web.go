package cache

import (
	"context"
	"crypto/sha256"
	"net/http"
	"strings"
	"sync"
	"time"
)

// WebOptions configure a [Web].
type WebOptions struct {
	// Bytes bounds the entries, bodies and headers and what it takes to keep them. EntryBytes bounds one body; larger ones are not stored.
	Bytes, EntryBytes int64
}

// Web is the engine of [Cache] as a strict shared HTTP cache: any resource, fresh for as long as its origin says, by RFC 9111 alone. It
// shares with the gateway the entries, what is judged by the header, the filling and the serving; it knows no principals, grants or writes of
// other processes. Create it with [NewWeb]; its methods are safe for concurrent use.
type Web struct {
	cache *Cache

	mu         sync.Mutex
	refreshing map[digest]bool // guarded by mu: what is being asked about in the background; bounded by who does so
}

// NewWeb returns an empty Web. It starts no goroutine; [Web.Run] frees what has expired.
func NewWeb(o WebOptions) (*Web, error) {
	c, err := New(Options{Bytes: o.Bytes, EntryBytes: o.EntryBytes, WriteLease: time.Second})
	if err != nil {
		return nil, err
	}
	return &Web{cache: c, refreshing: map[digest]bool{}}, nil
}

// Run is [Cache.Run].
func (w *Web) Run(ctx context.Context) error { return w.cache.Run(ctx) }

// Stats is [Cache.Stats].
func (w *Web) Stats() Stats { return w.cache.Stats() }

// WebQuestion is what a request asks of a [Web].
type WebQuestion struct {
	Method string
	Host   string      // as in the request; it may be upper or lower case
	Target string      // path and query as they came
	Header http.Header // the request's, read only

	// Content says that the request has a body. A GET with one goes past the cache: what it asks is not in its key.
	Content bool
}

// WebResult is the answer to a [WebQuestion].
type WebResult struct {
	Entry        *Entry // to be served; nil: the request goes upstream
	Fetch        *Fetch // what accompanies the request upstream; beside an Entry, one in the background that brings a fresh one
	Status       Status
	OnlyIfCached bool // the client wants a stored answer or none, and there is none: 504 (RFC 9111 section 5.2.1.7)
}

// Reasons of RFC 9211 section 2.2 that only a Web tells apart.
const (
	forwardMethod   Forward = "method"
	forwardURIMiss  Forward = "uri-miss"
	forwardVaryMiss Forward = "vary-miss"
)

// Look answers q from the store or says how to go on. Now is the moment of the call. Every Fetch that is returned must be closed.
func (w *Web) Look(ctx context.Context, q WebQuestion, now time.Time) WebResult {
	f := &Fetch{web: w, question: q, requestedAt: now, wants: demandsOf(q.Header)}
	f.key, f.on = w.name(q.Host, q.Target)
	result := f.look(ctx)
	w.cache.counts.looked(&Result{Status: result.Status})
	if f.wants.onlyIfCached && result.Entry == nil && f.readOnly() {
		return WebResult{OnlyIfCached: true, Status: result.Status}
	}
	return result
}

// name is the name of what is at an address, as an entry and as what entries depend on.
func (w *Web) name(host, target string) (digest, Resources) {
	var room [partsBytes]byte
	b := appendPart(room[:0], "osgate web 1")
	key := digest(sha256.Sum256(appendPart(appendPart(b, strings.ToLower(host)), target)))
	on := Resources{n: 1}
	on.list[0] = Resource{Hash: key}
	return key, on
}

// find returns the newest stored answer that was selected as one to header would be, and whether others are stored. It must be of the
// given state: one that was stored before an invalidation is none.
func (w *Web) find(key digest, header http.Header, stamp Stamp) (e *Entry, others bool) {
	held, ok := w.cache.entries.GetIfPresent(key)
	if !ok {
		return nil, false
	}
	for _, e := range held.web.variants {
		switch {
		case !admit(e.stamp, stamp):
		case e.web.selects(header):
			return e, true
		default:
			others = true
		}
	}
	return nil, others
}

// invalidate makes what is stored of an address unservable, and what is being fetched now too.
func (w *Web) invalidate(ctx context.Context, on Resources) {
	_ = w.cache.options.Coherence.Mark(ctx, on, newID(), 0) // the one in process never fails
}

// startRefresh reports whether nobody else asks about what is stored under key in the background. Whoever is told so must call
// endRefresh.
func (w *Web) startRefresh(key digest) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.refreshing[key] {
		return false
	}
	w.refreshing[key] = true
	return true
}

func (w *Web) endRefresh(key digest) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.refreshing, key)
}
