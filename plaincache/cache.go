// Package plaincache is the engine of OSGATE_CACHE_MODE=rfc9111: a strict shared HTTP
// cache of any resource, whose entries are fresh for as long as their origin states, by
// RFC 9111 alone. It has no principals, no grants and no writes of other processes.
//
// It judges, validates and serves answers by package httpcache, as the gateway's cache
// does, so that public test suites judge that package. Look-up, variants and the request
// to the origin are its own. An invalidation is a mark in package coherence, in process:
// an answer that was being fetched meanwhile is stored under a stamp that no read uses.
package plaincache

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/maypok86/otter/v2"

	"osgate/cache/coherence"
	"osgate/cache/httpcache"
	"osgate/internal/entrystore"
)

// Options configure a [Cache].
type Options struct {
	// Bytes bounds the entries: bodies, headers and the memory that it takes to keep
	// them. EntryBytes bounds one body; larger ones are not stored.
	Bytes, EntryBytes int64
}

// Cache stores the answers of an origin. Create it with [New]. Its methods are safe for
// concurrent use.
type Cache struct {
	options  Options
	entries  entrystore.Store[name, *address]
	writes   coherence.Tracker
	underWay httpcache.Budget

	mu         sync.Mutex    // guards refreshing
	refreshing map[name]bool // addresses being validated in the background; one for each Fetch at most
}

// name is the key of an address: a hash of host and target.
type name [sha256.Size]byte

// underWayShare is the part of Bytes, 1 divided by this, that answers may take in
// addition while they are being received.
const underWayShare = 4

// New returns an empty Cache. It starts no goroutine; [Cache.Run] frees expired
// entries.
func New(o Options) (*Cache, error) {
	entries, err := entrystore.New(entrystore.Options[name, *address]{
		Bytes: o.Bytes, Weigh: (*address).weight, Lifetime: func(a *address) time.Duration { return a.kept },
	})
	if err != nil {
		return nil, err
	}
	c := &Cache{options: o, entries: entries, writes: coherence.NewLocal(), refreshing: map[name]bool{}}
	c.underWay.Limit = max(o.Bytes/underWayShare, o.EntryBytes)
	return c, nil
}

// Run frees expired entries until ctx is done, then it returns nil. Without Run they
// are freed only when the cache needs room.
func (c *Cache) Run(ctx context.Context) error { return c.entries.Run(ctx) }

// Stats is a snapshot of the cache's content.
type Stats struct {
	Entries  int   // addresses with a stored answer, including those that have expired since the last clean-up
	Bytes    int64 // the size of the entries, counted as for [Options].Bytes
	UnderWay int64 // bytes of answers that are being received
}

// Stats returns a snapshot. The numbers are not of one instant.
func (c *Cache) Stats() Stats {
	return Stats{
		Entries: c.entries.EstimatedSize(), Bytes: int64(c.entries.WeightedSize()), UnderWay: c.underWay.Used(),
	}
}

// Question is a request to a [Cache].
type Question struct {
	Method string
	Host   string      // as in the request; case is ignored
	Target string      // path and query as received
	Header http.Header // the request's header, read only

	// HasBody reports whether the request has a body. A GET with a body bypasses the
	// cache: the key does not cover the body.
	HasBody bool
}

// Result is the answer to a [Question].
type Result struct {
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
func (c *Cache) Look(ctx context.Context, q Question, now time.Time) Result {
	f := &Fetch{cache: c, question: q, requestedAt: now, wants: httpcache.DemandsOf(q.Header)}
	f.key, f.on = addressOf(q.Host, q.Target)
	result := f.look(ctx)
	if f.wants.OnlyIfCached && result.Entry == nil && f.readOnly() {
		return Result{OnlyIfCached: true, Status: result.Status}
	}
	return result
}

// addressOf returns the key of an address, and the resource that its entries depend on.
func addressOf(host, target string) (name, coherence.Resources) {
	host = strings.ToLower(host)
	b := binary.BigEndian.AppendUint32(make([]byte, 0, 256), uint32(len(host)))
	key := name(sha256.Sum256(append(append(b, host...), target...)))
	return key, coherence.Of(coherence.Resource{Hash: key})
}

// invalidate makes the stored answers of an address unservable, and the answers that
// are being fetched now too.
func (c *Cache) invalidate(ctx context.Context, on coherence.Resources) {
	_ = c.writes.Mark(ctx, on, coherence.NewID(), 0) // the tracker in process never fails
}

// Entry is a stored answer. It is immutable, shared by all requests that it answers,
// and safe for concurrent use.
type Entry struct {
	httpcache.Response

	stamp   coherence.Stamp // the generation, read before the fetch
	control httpcache.Control
	varies  []string      // the request fields by which it was selected
	values  []string      // the values of these fields, in their normal form
	kept    time.Duration // after this time from RequestedAt the entry is dropped
}

// address contains the stored answers of one address. It is immutable.
type address struct {
	variants []*Entry      // the newest first
	kept     time.Duration // after this time from its newest answer it is dropped
}

const (
	maxVariants = 32        // of one address; beyond: the oldest is dropped
	keptStale   = time.Hour // how long a stale answer is kept, for validation and for clients that accept stale answers

	// entryOverhead is the memory of an entry, and of an address, apart from bodies and
	// headers.
	entryOverhead = 1024
)

// weight returns the size of the variants of an address.
func (a *address) weight() uint32 {
	n := entryOverhead
	for _, v := range a.variants {
		n += v.Bytes() + entryOverhead
		for i := range v.varies {
			n += len(v.varies[i]) + len(v.values[i]) + 2*16
		}
	}
	return uint32(n)
}

// selects reports whether the entry matches a request with this header (RFC 9111
// section 4.1).
func (e *Entry) selects(header http.Header) bool {
	for i, name := range e.varies {
		if e.values[i] != normalized(header[name]) {
			return false
		}
	}
	return true
}

// normalized returns a field's value in a form that is equal for all spellings of a
// list: lines joined, no space around commas.
func normalized(lines []string) string {
	if lines == nil {
		return "\x00" // no value contains it: a missing field differs from an empty one
	}
	var parts []string
	for _, line := range lines {
		for line != "" {
			var part string
			part, line = httpcache.CutItem(line)
			parts = append(parts, strings.TrimSpace(part))
		}
	}
	return strings.Join(parts, ",")
}

// newEntry makes the entry of a complete answer to f.
func (f *Fetch) newEntry(status int, header http.Header, body []byte, v *httpcache.Verdict) *Entry {
	e := &Entry{stamp: f.stamp, control: v.Control}
	e.Response = httpcache.Response{
		Status: status, Header: header, Body: body, RequestedAt: f.requestedAt, InitialAge: v.Age, Lifetime: v.Lifetime,
	}
	e.varies, _ = httpcache.VariesBy(header)
	for _, name := range e.varies {
		e.values = append(e.values, normalized(f.question.Header[name]))
	}
	e.kept = max(0, v.Lifetime-v.Age) + max(keptStale, v.Control.IfError.Length, v.Control.WhileRevalidate.Length)
	if len(header["Date"]) == 0 { // RFC 9110 section 6.6.1
		header["Date"] = []string{f.requestedAt.UTC().Format(http.TimeFormat)}
	}
	return e
}

// put stores e, with the variants that it does not replace and that are not out of
// date.
func (f *Fetch) put(e *Entry) {
	f.cache.entries.Compute(f.key, func(old *address, found bool) (*address, otter.ComputeOp) {
		held := &address{variants: []*Entry{e}, kept: e.kept}
		if !found {
			return held, otter.WriteOp
		}
		for _, o := range old.variants {
			left := o.kept - e.RequestedAt.Sub(o.RequestedAt)
			switch selected := o.selects(f.question.Header); {
			case o.stamp != e.stamp || left <= 0 || len(held.variants) >= maxVariants:
			case selected && o.RequestedAt.After(e.RequestedAt): // the fetch that began later has the newer state
				return old, otter.CancelOp
			case !selected:
				held.variants = append(held.variants, o)
				held.kept = max(held.kept, left)
			}
		}
		return held, otter.WriteOp
	})
}

// staleFor returns how long e has been stale at now, and whether it may be served to
// clients that accept stale answers: upstream has not forbidden it.
func (e *Entry) staleFor(now time.Time) (stale time.Duration, allowed bool) {
	return -e.Left(now), !e.control.NeverStale()
}
