package cache

import (
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// ServeTo is [Entry.Serve] for a [Web]: it serves a range of a complete stored content
// as a 206 (RFC 9111 section 3.4). For more than one range it serves the whole content,
// as RFC 9110 section 14.2 allows.
func (e *Entry) ServeTo(w http.ResponseWriter, method string, request http.Header, now time.Time) (status int, err error) {
	if method != http.MethodGet || e.status != http.StatusOK || len(request["Range"]) != 1 || e.notModified(request) || !e.sameAs(request) {
		return e.Serve(w, request, now)
	}
	first, last, ok := byteRange(request["Range"][0], int64(len(e.body)))
	if !ok {
		return e.Serve(w, request, now)
	}
	h := w.Header()
	maps.Copy(h, e.header)
	h["Age"] = []string{strconv.FormatInt(int64(e.Age(now)/time.Second), 10)}
	if first > last {
		h["Content-Range"] = []string{fmt.Sprintf("bytes */%d", len(e.body))}
		h["Content-Length"] = []string{"0"}
		w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
		return http.StatusRequestedRangeNotSatisfiable, nil
	}
	part := e.body[first : last+1]
	h["Content-Range"] = []string{fmt.Sprintf("bytes %d-%d/%d", first, last, len(e.body))}
	h["Content-Length"] = []string{contentLength(part)}
	w.WriteHeader(http.StatusPartialContent)
	_, err = w.Write(part)
	return http.StatusPartialContent, err
}

// sameAs evaluates If-Range, by strong comparison (RFC 9110 section 13.1.5): it reports
// whether the client's part is of the stored content.
func (e *Entry) sameAs(request http.Header) bool {
	condition := request.Get("If-Range")
	switch {
	case condition == "":
		return true
	case strings.HasPrefix(condition, `"`):
		return condition == e.ETag()
	case strings.HasPrefix(condition, "W/"):
		return false
	}
	return condition == e.header.Get("Last-Modified")
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
