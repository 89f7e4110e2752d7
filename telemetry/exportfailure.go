package telemetry

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	grpcstatus "google.golang.org/grpc/status"

	"osgate/record"
)

// failure is what is known of an export that failed. The zero failure is none.
type failure struct {
	cause    string // one short line, in no word of the collector's: it may repeat what was sent to it
	partly   bool   // the collector took the rest
	rejected int    // where partly, how much it did not take
}

// What the exporters write of an answer that takes a part ("OTLP partial success", all three signals), and before the collector's own words.
const (
	partialSuccess = "OTLP partial success: "
	bodyFollows    = "body: "
)

var (
	rejectedItems = regexp.MustCompile(`\((\d+) [a-z ]+ rejected\)$`)
	addresses     = regexp.MustCompile(`https?://\S+`) // which may hold a key
)

// readFailure reads the error of an exporter, whose last answer by HTTP had this status (0: it had none), and whose context ended so (nil: it did not).
func readFailure(err error, status int, ended error) failure {
	f, whole := failure{}, false
	for _, part := range partsOf(err) {
		said, partly := strings.CutPrefix(part.Error(), partialSuccess)
		if !partly {
			f.cause, whole = exportCause(part, status, ended), true
		} else if n := rejectedItems.FindStringSubmatch(said); n != nil {
			lost, _ := strconv.Atoi(n[1])
			f.rejected += lost
		}
	}
	if f.rejected > 0 && !whole {
		f.cause, f.partly = "the collector rejected a part of it", true
	}
	return f
}

// partsOf takes apart errors that were joined, and those wrapped that hold a partial success.
func partsOf(err error) (parts []error) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, part := range joined.Unwrap() {
			parts = append(parts, partsOf(part)...)
		}
		return parts
	}
	if inner := errors.Unwrap(err); inner != nil && strings.Contains(inner.Error(), partialSuccess) {
		return partsOf(inner)
	}
	return []error{err}
}

// exportCause returns why nothing was taken. The status goes before the end of the time in which the exporter tried again.
func exportCause(err error, status int, ended error) string {
	var late interface{ Timeout() bool }
	answer, answered := errors.AsType[interface {
		error
		GRPCStatus() *grpcstatus.Status
	}](err)
	switch {
	case answered:
		return "gRPC status " + answer.GRPCStatus().Code().String()
	case status >= 300 && status < 400:
		return fmt.Sprintf("HTTP status %d, a redirect: none is followed", status)
	case status >= 400:
		return fmt.Sprintf("HTTP status %d", status)
	case errors.Is(ended, context.DeadlineExceeded), errors.Is(err, context.DeadlineExceeded), errors.As(err, &late) && late.Timeout():
		return "timeout"
	case errors.Is(ended, context.Canceled):
		return "the end of the process, which waited no longer"
	}
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	text, _, _ := strings.Cut(record.Cause(err), bodyFollows)
	text = addresses.ReplaceAllString(text, "(the endpoint)")
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, attributeText(text, maxCause))
}

const maxCause = 240
