package httpcache

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Response is an answer to a GET or HEAD that is stored. It is immutable, shared by all
// requests that it answers, and safe for concurrent use. Its header and body must not
// be changed.
type Response struct {
	Status int // as upstream sent it
	// The fields that may be replayed: no Age and no field of one hop. Content-Length, if
	// it is there, is the length of Body, or of an answer to HEAD what upstream stated.
	Header http.Header
	Body   []byte // empty for HEAD
	Head   bool   // an answer to HEAD

	RequestedAt time.Time     // before the request was sent; the age counts from this time
	InitialAge  time.Duration // how old it already was when upstream sent it
	Lifetime    time.Duration // its freshness, from its origination
}

// ETag returns the entity tag. It is empty if the answer has none.
func (r *Response) ETag() string {
	if tags := r.Header["Etag"]; len(tags) > 0 {
		return tags[0]
	}
	return ""
}

// Age returns the age of the answer at now, counted from before it was fetched. It is
// never negative (RFC 9111 section 4.2.3).
func (r *Response) Age(now time.Time) time.Duration {
	return r.InitialAge + max(0, now.Sub(r.RequestedAt))
}

// Left returns how much longer the answer is fresh at now; negative if it is stale.
func (r *Response) Left(now time.Time) time.Duration { return r.Lifetime - r.Age(now) }

// Bytes is an estimate of the memory of body and header.
func (r *Response) Bytes() int { return len(r.Body) + HeaderBytes(r.Header) }

// HeaderBytes is an estimate of a header's memory.
func HeaderBytes(h http.Header) (n int) {
	for name, values := range h {
		n += len(name) + 64
		for _, v := range values {
			n += len(v) + 16
		}
	}
	return n
}

// Serve writes the answer with Age, ETag and Content-Length. It writes a 304 if the
// client's header shows that the client has this answer (If-None-Match by weak
// comparison, RFC 9110 section 13.1.2). Fields that are already set on w stay unless
// the answer has them too. Serve returns the status sent and the first error of writing
// to the client.
func (r *Response) Serve(w http.ResponseWriter, request http.Header, now time.Time) (status int, err error) {
	return r.serve(w, r.notModified(request, r.Header.Get("Last-Modified")), now)
}

func (r *Response) serve(w http.ResponseWriter, notModified bool, now time.Time) (status int, err error) {
	h := w.Header()
	for name, values := range r.Header {
		if !notModified || keepNotModified(name) {
			h[name] = values
		}
	}
	h["Age"] = r.ageField(now)
	if notModified {
		w.WriteHeader(http.StatusNotModified)
		return http.StatusNotModified, nil
	}
	if !r.Head && len(r.Header["Content-Length"]) == 0 {
		h["Content-Length"] = []string{strconv.Itoa(len(r.Body))}
	}
	w.WriteHeader(r.Status)
	if len(r.Body) > 0 {
		_, err = w.Write(r.Body)
	}
	return r.Status, err
}

// ageField returns the value of Age at now.
func (r *Response) ageField(now time.Time) []string {
	return []string{strconv.FormatInt(int64(r.Age(now)/time.Second), 10)}
}

// notModified evaluates the conditions that apply to a cache (RFC 9111 section 4.3.2).
// They count for successful answers only. Modified is when the content was last
// changed, as a field value; empty: not known.
func (r *Response) notModified(request http.Header, modified string) bool {
	if r.Status >= 300 {
		return false
	}
	if lines := request["If-None-Match"]; len(lines) > 0 {
		return noneMatch(lines, r.ETag())
	}
	return len(request["If-Modified-Since"]) > 0 && notModifiedSince(request, modified)
}

// noneMatch reports whether If-None-Match shows that the client has the content
// already: "*", or a tag that is weakly equal to etag (RFC 9110 sections 8.8.3.2 and
// 13.1.2).
func noneMatch(lines []string, etag string) bool {
	for tag := range entityTags(lines) {
		if tag == "*" || etag != "" && strings.TrimPrefix(tag, "W/") == strings.TrimPrefix(etag, "W/") {
			return true
		}
	}
	return false
}

// notModifiedSince reports whether If-Modified-Since shows that the client has the
// content already. Last is the content's Last-Modified. The field counts only without
// If-None-Match (RFC 9110 section 13.1.3).
func notModifiedSince(request http.Header, last string) bool {
	since, err := http.ParseTime(request.Get("If-Modified-Since"))
	if err != nil {
		return false
	}
	modified, err := http.ParseTime(last)
	return err == nil && !modified.After(since)
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
