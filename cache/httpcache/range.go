package httpcache

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// ServeRange is [Response.Serve] for any resource: the answer's Date replaces a missing
// Last-Modified (RFC 9111 section 4.3.2), and a range of a complete content is served as
// a 206 (section 3.4). For more than one range it serves the whole content, as RFC 9110
// section 14.2 allows.
func (r *Response) ServeRange(
	w http.ResponseWriter, method string, request http.Header, now time.Time,
) (status int, err error) {
	notModified := r.notModified(request, cmp.Or(r.Header.Get("Last-Modified"), r.Header.Get("Date")))
	if method != http.MethodGet || r.Status != http.StatusOK || len(request["Range"]) != 1 ||
		notModified || !r.sameAs(request) {
		return r.serve(w, notModified, now)
	}
	first, last, ok := byteRange(request["Range"][0], int64(len(r.Body)))
	if !ok {
		return r.serve(w, false, now)
	}
	h := w.Header()
	maps.Copy(h, r.Header)
	h["Age"] = r.ageField(now)
	if first > last {
		h["Content-Range"] = []string{fmt.Sprintf("bytes */%d", len(r.Body))}
		h["Content-Length"] = []string{"0"}
		w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
		return http.StatusRequestedRangeNotSatisfiable, nil
	}
	part := r.Body[first : last+1]
	h["Content-Range"] = []string{fmt.Sprintf("bytes %d-%d/%d", first, last, len(r.Body))}
	h["Content-Length"] = []string{strconv.Itoa(len(part))}
	w.WriteHeader(http.StatusPartialContent)
	_, err = w.Write(part)
	return http.StatusPartialContent, err
}

// sameAs evaluates If-Range, by strong comparison (RFC 9110 section 13.1.5): it reports
// whether the client's part is of the stored content.
func (r *Response) sameAs(request http.Header) bool {
	condition := request.Get("If-Range")
	switch {
	case condition == "":
		return true
	case strings.HasPrefix(condition, `"`):
		return condition == r.ETag()
	case strings.HasPrefix(condition, "W/"):
		return false
	}
	return condition == r.Header.Get("Last-Modified")
}

// byteRange parses a Range with one range of bytes (RFC 9110 section 14.1.2) for a
// content of this size. Ok is false for any other form, which must be ignored. If first
// is after last, the content contains no byte of the range.
func byteRange(text string, size int64) (first, last int64, ok bool) {
	unit, spec, _ := strings.Cut(text, "=")
	from, to, isRange := strings.Cut(strings.TrimSpace(spec), "-")
	if !strings.EqualFold(strings.TrimSpace(unit), "bytes") || !isRange {
		return 0, 0, false
	}
	if from == "" { // a number of bytes from the end
		n, ok := position(to)
		return max(0, size-n), size - 1, ok
	}
	first, ok = position(from)
	last = size - 1
	if to != "" && ok {
		last, ok = position(to)
		ok = ok && first <= last
	}
	return first, min(last, size-1), ok
}

func position(digits string) (int64, bool) {
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	return n, err == nil
}
