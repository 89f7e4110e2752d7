package attributes

import (
	"net/http"
	"strconv"

	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"osgate/record"
)

// KnownMethod returns method if it is one of RFC 9110 or RFC 5789, otherwise "_OTHER"
// as the semantic conventions require, because a client may send any method.
func KnownMethod(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
		http.MethodOptions, http.MethodConnect, http.MethodTrace:
		return method
	}
	return semconv.HTTPRequestMethodOther.Value.AsString()
}

// SentStatus returns status if a client received it: three digits, and not the status
// that is recorded for clients that left. Otherwise it returns 0.
func SentStatus(status int) int {
	if status < 100 || status > 999 || status == record.StatusClientLeft {
		return 0
	}
	return status
}

// Failure returns error.type of the answer to a client: the problem code or the status
// of a 5xx, "" if there was no failure.
func Failure(x *record.Exchange) string {
	switch {
	case x.ClientLeft():
		return "client_left"
	case x.Aborted:
		return "aborted"
	case x.Status < http.StatusInternalServerError:
		return ""
	case x.Code != "":
		return string(x.Code)
	}
	return strconv.Itoa(x.Status)
}
