package export

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

// failure describes a failed export. The zero failure means success.
type failure struct {
	cause    string // one short line without text of the collector, which may repeat the data sent to it
	partly   bool   // the collector accepted the rest
	rejected int    // if partly, the number of rejected items
}

// The exporters' text for a partly rejected export ("OTLP partial success", all three
// signals), and their text before the collector's own message.
const (
	partialSuccess = "OTLP partial success: "
	bodyFollows    = "body: "
)

var (
	rejectedItems = regexp.MustCompile(`\((\d+) [a-z ]+ rejected\)$`)
	addresses     = regexp.MustCompile(`https?://\S+`) // may contain a key
)

// readFailure interprets the error of an exporter. status is the HTTP status of its
// last answer (0: none). ended is the error of its context (nil: it has not ended).
func readFailure(err error, status int, ended error) failure {
	f, whole := failure{}, false
	for _, part := range partsOf(err) {
		message, partly := strings.CutPrefix(part.Error(), partialSuccess)
		if !partly {
			f.cause, whole = exportCause(part, status, ended), true
		} else if n := rejectedItems.FindStringSubmatch(message); n != nil {
			lost, _ := strconv.Atoi(n[1])
			f.rejected += lost
		}
	}
	if f.rejected > 0 && !whole {
		f.cause, f.partly = "the collector rejected a part of the export", true
	}
	return f
}

// partsOf splits joined errors, and unwraps errors that contain a partial success.
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

// exportCause returns why the whole export failed. A status takes precedence over the
// timeout within which the exporter retried.
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
		return fmt.Sprintf("HTTP status %d, a redirect, which is not followed", status)
	case status >= 400:
		return fmt.Sprintf("HTTP status %d", status)
	case errors.Is(ended, context.DeadlineExceeded), errors.Is(err, context.DeadlineExceeded),
		errors.As(err, &late) && late.Timeout():
		return "timeout"
	case errors.Is(ended, context.Canceled):
		return "the process ended before the answer"
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
