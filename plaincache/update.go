package plaincache

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"osgate/cache/httpcache"
)

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
