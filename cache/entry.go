package cache

import (
	"net/http"
	"slices"
	"strconv"
	"time"
)

// Entry is a stored answer. It is immutable and shared by all whom it answers; safe for concurrent use.
type Entry struct {
	status int
	header http.Header // what may be replayed, ETag included
	body   []byte
	head   bool // an answer to HEAD

	stamp       Stamp
	on          Resources
	requestedAt time.Time     // when its generations were read, before the fetch: its age counts from there
	age         time.Duration // how old it was already when upstream sent it
	lifetime    time.Duration // from its origination
	stale       staleness     // for how much longer it may be served in need

	web *webEntry // nil: an operation's
}

// DefaultControl is what stands for Cache-Control where upstream sent none: the answer is one principal's, and a client that keeps it asks again
// each time (and is told 304 by our ETag), because writes through the gateway do not reach its cache.
const DefaultControl = "private, no-cache"

// Status returns the status as upstream sent it: 200, 204 of a HEAD, 404 of a key.
func (e *Entry) Status() int { return e.status }

// Header returns the header in a copy of the caller's own: no hop-by-hop, cookie, quota, request id or identity header, ours ETag where
// upstream sent none, no Age.
func (e *Entry) Header() http.Header { return e.header.Clone() }

// Body returns the body, shared: it must not be changed. Empty for HEAD.
func (e *Entry) Body() []byte { return e.body }

// ETag returns upstream's entity tag, else a weak one of ours; empty for what is not a 200 of GET and came without.
func (e *Entry) ETag() string {
	if tags := e.header["Etag"]; len(tags) > 0 {
		return tags[0]
	}
	return ""
}

// Age returns how old the answer is at now, counted from before it was fetched, never negative (RFC 9111 section 4.2.3).
func (e *Entry) Age(now time.Time) time.Duration { return e.age + max(0, now.Sub(e.requestedAt)) }

// Left returns how much longer the answer is fresh at now; negative when it is not.
func (e *Entry) Left(now time.Time) time.Duration { return e.lifetime - e.Age(now) }

// Serve writes the answer: as it was, or 304 where the client's header says that it has it (If-None-Match by weak comparison, RFC
// 9110 section 13.1.2), with Age, ETag and Content-Length. Headers that are set on w already stay unless the entry has them too.
// It returns the status sent and the first error of writing to the client.
func (e *Entry) Serve(w http.ResponseWriter, request http.Header, now time.Time) (status int, err error) {
	h := w.Header()
	notModified := e.notModified(request)
	for name, values := range e.header {
		if !notModified || keepNotModified(name) {
			h[name] = values
		}
	}
	h["Age"] = []string{strconv.FormatInt(int64(e.Age(now)/time.Second), 10)}
	if notModified {
		w.WriteHeader(http.StatusNotModified)
		return http.StatusNotModified, nil
	}
	if !e.head {
		h["Content-Length"] = []string{contentLength(e.body)}
	}
	w.WriteHeader(e.status)
	if len(e.body) > 0 {
		_, err = w.Write(e.body)
	}
	return e.status, err
}

func contentLength(body []byte) string { return strconv.Itoa(len(body)) }

// notModified evaluates the conditions that apply to a cache (RFC 9111 section 4.3.2), which count for successful answers only.
func (e *Entry) notModified(request http.Header) bool {
	if e.status >= 300 {
		return false
	}
	if lines := request["If-None-Match"]; len(lines) > 0 {
		return noneMatch(lines, e.ETag())
	}
	return len(request["If-Modified-Since"]) > 0 && notModifiedSince(request, e.modified())
}

// keepNotModified reports whether a 304 carries the header: what tells of the stored answer, not what describes a content that is not sent
// (RFC 9110 section 15.4.5).
func keepNotModified(name string) bool {
	switch name {
	case "Content-Encoding", "Content-Language", "Content-Length", "Content-Type", "Content-Disposition":
		return false
	}
	return true
}

// entryOverhead is what an entry takes beside its body and header: the struct, the key, the cache's own node and links
// (TestMemoryStaysWithinBytes).
const entryOverhead = 1024

func (e *Entry) weight() uint32 {
	return uint32(len(e.body) + headerBytes(e.header) + e.variantBytes() + entryOverhead)
}

// newEntry makes the entry of a complete answer. The header, of which only what may be replayed is left, and the body become the entry's.
func newEntry(status int, header http.Header, body []byte, head bool) *Entry {
	e := &Entry{status: status, header: header, body: slices.Clip(body), head: head}
	if e.status == http.StatusOK && !head && e.ETag() == "" {
		e.header["Etag"] = []string{ownETag(e.header.Get("Content-Type"), body)}
	}
	if len(e.header["Cache-Control"]) == 0 {
		e.header["Cache-Control"] = []string{DefaultControl}
	}
	return e
}
