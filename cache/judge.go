package cache

import (
	"net/http"
	"strings"
	"time"

	"osgate/cache/httpcache"
	"osgate/objectstore"
)

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
