package reconcile

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	// attempts bounds how often one request is sent.
	attempts = 5
	// pause is the wait before the second attempt if the answer gives no time. It
	// doubles with each further attempt.
	pause = time.Second
	// maxPause bounds the wait before an attempt, whatever time the answer gives.
	maxPause = time.Minute
	// attemptTimeout bounds one attempt including its answer.
	attemptTimeout = 30 * time.Second
	// maxAnswer bounds an answer in bytes: a list of tens of thousands of names.
	maxAnswer = 8 << 20
	// maxReason bounds the part of an answer that an error repeats, in bytes.
	maxReason = 300
)

// API is a Stats API over HTTP. It is safe for concurrent use.
type API struct {
	Transport http.RoundTripper
	Base      *url.URL            // the part before /api/v1
	Host      string              // Host header; empty: Base's
	Authorize func(*http.Request) // sets the credentials
	Query     url.Values          // added to every request
}

// Get implements [Source]. It repeats the request after a temporary failure (429, 502,
// 503, 504, or no answer), after the time that Retry-After gives.
func (a *API) Get(ctx context.Context, path string, query url.Values) ([]byte, error) {
	maps.Copy(query, a.Query)
	wait := pause
	for attempt := 1; ; attempt++ {
		body, again, err := a.attempt(ctx, path, query)
		if err == nil {
			return body, nil
		}
		if again < 0 || attempt == attempts || ctx.Err() != nil {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(min(maxPause, max(again, wait))):
		}
		wait *= 2
	}
}

// attempt sends the request once. With an error, again is the time to wait before the
// next attempt, negative if another attempt is useless.
func (a *API) attempt(
	ctx context.Context, path string, query url.Values,
) (body []byte, again time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	// String puts a slash between host and path, which JoinPath does not.
	base := strings.TrimSuffix(a.Base.String(), "/")
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/api/v1/"+path+"?"+query.Encode(), http.NoBody)
	if err != nil {
		return nil, -1, fmt.Errorf("making the request: %w", err)
	}
	r.Host = a.Host
	r.Header = http.Header{"Accept": {"application/json"}, "User-Agent": {"osgate"}}
	a.Authorize(r)
	answer, err := a.Transport.RoundTrip(r)
	if err != nil {
		return nil, 0, fmt.Errorf("sending the request: %w", err)
	}
	defer func() { _ = answer.Body.Close() }() // read below, up to maxAnswer
	body, err = io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
	switch {
	case answer.StatusCode != http.StatusOK:
		return nil, retry(answer), &StatusError{Status: answer.StatusCode, Reason: reason(body)}
	case err != nil:
		return nil, 0, fmt.Errorf("reading the answer: %w", err)
	case len(body) > maxAnswer:
		return nil, -1, errors.New("the answer is longer than 8 MiB")
	}
	return body, 0, nil
}

// retry returns the time after which a request may be repeated, negative for never.
func retry(answer *http.Response) time.Duration {
	switch answer.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		if seconds, err := strconv.ParseUint(answer.Header.Get("Retry-After"), 10, 31); err == nil {
			return time.Duration(seconds) * time.Second
		}
		return 0
	}
	return -1
}

// StatusError is an answer other than 200.
type StatusError struct {
	Status int
	Reason string // the message in the answer; empty if it has none that can be read
}

// Error implements error.
func (e *StatusError) Error() string {
	text := fmt.Sprintf("it answered %d %s", e.Status, http.StatusText(e.Status))
	if e.Reason != "" {
		text += ": " + e.Reason
	}
	return text
}

// reason returns the message in the body of an error, in the vendor's form or that of
// problem details (RFC 9457). It is cleaned of unprintable characters and shortened.
func reason(body []byte) string {
	var said struct {
		Detail  string `json:"detail"`
		Message string `json:"message"`
	}
	if json.Unmarshal(body, &said) != nil {
		return ""
	}
	text := said.Detail
	if text == "" {
		text = said.Message
	}
	text = strings.Map(func(r rune) rune {
		if !strconv.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
	return strings.ToValidUTF8(text[:min(maxReason, len(text))], "")
}
