package cache

import (
	"context"
	"crypto/sha256"
	"net/http"
	"strings"
	"sync"
	"time"

	"osgate/cache/coherence"
	"osgate/cache/httpcache"
)

// WebOptions configure a [Web].
type WebOptions struct {
	// Bytes bounds the entries: bodies, headers and the memory that it takes to keep
	// them. EntryBytes bounds one body; larger ones are not stored.
	Bytes, EntryBytes int64
}

// Web is the engine of [Cache] as a strict shared HTTP cache: any resource, fresh for
// as long as its origin states, by RFC 9111 alone. It shares with the gateway the
// entries, the judgment of headers, the filling and the serving. It has no principals,
// no grants and no writes of other processes. Create it with [NewWeb]. Its methods are
// safe for concurrent use.
type Web struct {
	cache *Cache

	mu         sync.Mutex      // guards refreshing
	refreshing map[digest]bool // entries being validated in the background; one for each Fetch at most
}

// NewWeb returns an empty Web. It starts no goroutine; [Web.Run] frees expired entries.
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

// WebQuestion is a request to a [Web].
type WebQuestion struct {
	Method string
	Host   string      // as in the request; case is ignored
	Target string      // path and query as received
	Header http.Header // the request's header, read only

	// HasBody reports whether the request has a body. A GET with a body bypasses the
	// cache: the key does not cover the body.
	HasBody bool
}

// WebResult is the answer to a [WebQuestion].
type WebResult struct {
	Entry        *Entry // the entry to serve; nil: the request is sent upstream
	Fetch        *Fetch // handles the request to upstream; with an Entry, a background request for a fresh one
	Status       httpcache.Status
	OnlyIfCached bool // the client accepts only a stored answer, and none is stored: 504 (RFC 9111 section 5.2.1.7)
}

// Values of [Forward] in RFC 9211 section 2.2 that only a Web distinguishes.
const (
	forwardMethod   httpcache.Forward = "method"
	forwardURIMiss  httpcache.Forward = "uri-miss"
	forwardVaryMiss httpcache.Forward = "vary-miss"
)

// Look answers q from the store, or returns how to forward it. Now is the time of the
// call. Every Fetch that is returned must be closed.
func (w *Web) Look(ctx context.Context, q WebQuestion, now time.Time) WebResult {
	f := &Fetch{web: w, question: q, requestedAt: now, wants: httpcache.DemandsOf(q.Header)}
	f.key, f.on = w.name(q.Host, q.Target)
	result := f.look(ctx)
	w.cache.counts.looked(&Result{Status: result.Status})
	if f.wants.OnlyIfCached && result.Entry == nil && f.readOnly() {
		return WebResult{OnlyIfCached: true, Status: result.Status}
	}
	return result
}

// name returns the key of an address, and the resource that its entries depend on.
func (w *Web) name(host, target string) (digest, coherence.Resources) {
	var room [partsBytes]byte
	b := appendPart(room[:0], "osgate web 1")
	key := digest(sha256.Sum256(appendPart(appendPart(b, strings.ToLower(host)), target)))
	return key, coherence.Of(coherence.Resource{Hash: key})
}

// find returns the newest stored answer that matches a request with this header, and
// whether others are stored. It must have the given stamp: an answer that was stored
// before an invalidation does not count.
func (w *Web) find(key digest, header http.Header, stamp coherence.Stamp) (e *Entry, others bool) {
	held, ok := w.cache.entries.GetIfPresent(key)
	if !ok {
		return nil, false
	}
	for _, e := range held.web.variants {
		switch {
		case !coherence.Admit(e.stamp, stamp):
		case e.web.selects(header):
			return e, true
		default:
			others = true
		}
	}
	return nil, others
}

// invalidate makes the stored answers of an address unservable, and the answers that
// are being fetched now too.
func (w *Web) invalidate(ctx context.Context, on coherence.Resources) {
	_ = w.cache.options.Coherence.Mark(ctx, on, coherence.NewID(), 0) // the coherence in process never fails
}

// startRefresh reports whether no other request validates the entry of key in the
// background. If it returns true, the caller must call endRefresh.
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
