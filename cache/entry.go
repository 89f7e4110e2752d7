package cache

import (
	"net/http"
	"slices"
	"strconv"
	"time"
)

// Entry is a stored answer. It is immutable, shared by all requests that it answers,
// and safe for concurrent use.
type Entry struct {
	status int
	header http.Header // the fields that may be replayed, ETag included
	body   []byte
	head   bool // an answer to HEAD

	stamp       Stamp
	on          Resources
	requestedAt time.Time     // when its generations were read, before the fetch; its age counts from this time
	age         time.Duration // how old it already was when upstream sent it
	lifetime    time.Duration // its freshness, from its origination
	stale       staleness     // how long it may be served after it is no longer fresh

	web *webEntry // nil: the answer to an operation
}

// DefaultControl replaces Cache-Control if upstream sent none. The answer belongs to
// one principal, and a client that keeps it must validate it before each use (our ETag
// gives it a 304), because writes through the gateway do not reach the client's cache.
const DefaultControl = "private, no-cache"

// Status returns the status as upstream sent it: 200, 204 for a HEAD, or 404 for a key.
func (e *Entry) Status() int { return e.status }

// Header returns a copy of the header. It contains no hop-by-hop, cookie, quota,
// request id or identity field and no Age. The ETag is ours if upstream sent none.
func (e *Entry) Header() http.Header { return e.header.Clone() }

// Body returns the body. It is shared and must not be changed. It is empty for HEAD.
func (e *Entry) Body() []byte { return e.body }

// ETag returns upstream's entity tag, otherwise a weak one of ours. It is empty if the
// answer had no tag and is not a 200 to a GET.
func (e *Entry) ETag() string {
	if tags := e.header["Etag"]; len(tags) > 0 {
		return tags[0]
	}
	return ""
}

// Age returns the age of the answer at now, counted from before it was fetched. It is
// never negative (RFC 9111 section 4.2.3).
func (e *Entry) Age(now time.Time) time.Duration { return e.age + max(0, now.Sub(e.requestedAt)) }

// Left returns how much longer the answer is fresh at now; negative if it is stale.
func (e *Entry) Left(now time.Time) time.Duration { return e.lifetime - e.Age(now) }

// Serve writes the answer with Age, ETag and Content-Length. It writes a 304 if the
// client's header shows that the client has this answer (If-None-Match by weak
// comparison, RFC 9110 section 13.1.2). Fields that are already set on w stay unless
// the entry has them too. Serve returns the status sent and the first error of writing
// to the client.
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

// notModified evaluates the conditions that apply to a cache (RFC 9111 section 4.3.2).
// They count for successful answers only.
func (e *Entry) notModified(request http.Header) bool {
	if e.status >= 300 {
		return false
	}
	if lines := request["If-None-Match"]; len(lines) > 0 {
		return noneMatch(lines, e.ETag())
	}
	return len(request["If-Modified-Since"]) > 0 && notModifiedSince(request, e.modified())
}

// keepNotModified reports whether a 304 carries the field. It carries fields that
// describe the stored answer, and not those that describe a content that is not sent
// (RFC 9110 section 15.4.5).
func keepNotModified(name string) bool {
	switch name {
	case "Content-Encoding", "Content-Language", "Content-Length", "Content-Type", "Content-Disposition":
		return false
	}
	return true
}

// entryOverhead is the memory of an entry apart from its body and header: the struct,
// the key, the node and links of the entry store (TestMemoryStaysWithinBytes).
const entryOverhead = 1024

func (e *Entry) weight() uint32 {
	return uint32(len(e.body) + headerBytes(e.header) + e.variantBytes() + entryOverhead)
}

// newEntry makes the entry of a complete answer. It takes ownership of body and header,
// which must contain only fields that may be replayed.
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
