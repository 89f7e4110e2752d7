package record

import (
	"strconv"
	"strings"
	"time"
)

// CacheResult is how the cache handled a request, for the header Cache-Status (RFC 9211)
// and the record. The zero value is an operation that is never cached; it has no header.
type CacheResult struct {
	Hit       bool
	Forward   Forward       // why the request was sent upstream; empty on a hit
	TTL       time.Duration // on a hit: how much longer the entry is fresh; negative: how long it has been stale
	Stored    bool          // the answer is being stored
	Collapsed bool          // the answer came from another request's fetch
	Detail    string        // a token with more detail, for people
}

// Forward is why a request was sent upstream, a parameter value of RFC 9211 section
// 2.2.
type Forward string

// The values of [Forward].
const (
	ForwardMiss    Forward = "miss"    // no usable entry is stored
	ForwardStale   Forward = "stale"   // the stored entry is no longer fresh
	ForwardRequest Forward = "request" // the client's header requires a request to upstream
	ForwardBypass  Forward = "bypass"  // the cache is not to be used: turned off, a write in flight, coherence unknown
)

// cacheName is the gateway's name in Cache-Status.
const cacheName = "osgate"

// String returns the header's value: "osgate; hit; ttl=8", "osgate; fwd=miss; stored",
// "osgate; fwd=bypass; detail=write-in-flight". It is empty for the zero CacheResult;
// then the header is not sent.
func (r CacheResult) String() string {
	if r.IsZero() {
		return ""
	}
	return string(r.append(append(make([]byte, 0, 64), cacheName+"; "...)))
}

// IsZero reports whether the operation is never cached.
func (r CacheResult) IsZero() bool { return r == (CacheResult{}) }

// Lookup returns the result of the lookup as one word for metrics: "hit", or why the
// request was sent upstream. It is empty for the zero CacheResult.
func (r CacheResult) Lookup() string {
	if r.Hit {
		return "hit"
	}
	return string(r.Forward)
}

// Text returns [CacheResult.String] without the gateway's name, for logs.
func (r CacheResult) Text() string {
	return string(r.append(make([]byte, 0, 64)))
}

// append appends [CacheResult.Text] to room.
func (r CacheResult) append(room []byte) []byte {
	if r.IsZero() {
		return room
	}
	if r.Hit {
		room = append(room, "hit; ttl="...)
		room = strconv.AppendInt(room, wholeSeconds(r.TTL), 10)
	} else {
		room = append(append(room, "fwd="...), r.Forward...)
	}
	if r.Stored {
		room = append(room, "; stored"...)
	}
	if r.Collapsed {
		room = append(room, "; collapsed"...)
	}
	if r.Detail != "" {
		room = appendItem(append(room, "; detail="...), r.Detail)
	}
	return room
}

// wholeSeconds rounds down, so that a stale entry has a TTL of -1 at most.
func wholeSeconds(d time.Duration) int64 {
	if d < 0 {
		d -= time.Second - 1
	}
	return int64(d / time.Second)
}

// appendItem appends text as a structured-field token if it is one, otherwise as a
// string (RFC 9651 sections 3.3.3 and 3.3.4). It leaves out characters that neither can
// contain.
func appendItem(b []byte, text string) []byte {
	if IsToken(text) {
		return append(b, text...)
	}
	b = append(b, '"')
	for i := range len(text) {
		switch c := text[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c >= ' ' && c < 0x7f:
			b = append(b, c)
		}
	}
	return append(b, '"')
}

// IsToken reports whether s is a token of a structured field (RFC 9651 section 3.3.4).
func IsToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		if i == 0 && !letter && c != '*' {
			return false
		}
		if !letter && (c < '0' || c > '9') && strings.IndexByte("!#$%&'*+-.^_`|~:/", c) < 0 {
			return false
		}
	}
	return s != ""
}
