package cache

import (
	"net/http"
	"slices"
	"strconv"

	"osgate/cache/coherence"
	"osgate/cache/httpcache"
)

// Entry is a stored answer of upstream with the state that it was read from. It is
// immutable, shared by all requests that it answers, and safe for concurrent use. Its
// header contains no hop-by-hop, cookie, quota, request id or identity field. The ETag
// of a 200 to a GET is ours if upstream sent none.
type Entry struct {
	httpcache.Response

	stamp coherence.Stamp // the generations, read before the fetch
	on    coherence.Resources
	stale staleness // how long it may be served after it is no longer fresh
}

// DefaultControl replaces Cache-Control if upstream sent none. The answer belongs to
// one principal, and a client that keeps it must validate it before each use (our ETag
// gives it a 304), because writes through the gateway do not reach the client's cache.
const DefaultControl = "private, no-cache"

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

// entryOverhead is the memory of an entry apart from its body and header: the struct,
// the key, the node and links of the entry store (TestMemoryStaysWithinBytes).
const entryOverhead = 1024

func (e *Entry) weight() uint32 { return uint32(e.Bytes() + entryOverhead) }

func (e *Entry) failed() bool { return httpcache.Failed(e.Status) }
