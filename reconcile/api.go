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
	// attempts bounds how often one question is asked.
	attempts = 5
	// pause is before the second attempt, doubled before each further one, where the answer names no time.
	pause = time.Second
	// maxPause bounds what is waited before an attempt, whatever the answer names.
	maxPause = time.Minute
	// attemptTimeout bounds one attempt with its answer.
	attemptTimeout = 30 * time.Second
	// maxAnswer bounds an answer in bytes: a list of tens of thousands of names.
	maxAnswer = 8 << 20
	// maxReason bounds what an error repeats of an answer, in bytes.
	maxReason = 300
)

// API is a Stats API over HTTP. It is safe for concurrent use.
type API struct {
	Transport http.RoundTripper
	Base      *url.URL            // what stands before /api/v1
	Host      string              // Host header; empty: Base's
	Authorize func(*http.Request) // sets the credentials
	Query     url.Values          // added to every question
}

// Get implements [Source]. An answer that says "later" (429, 502, 503, 504), or none at all, is asked for again, after the time that
// Retry-After names.
func (a *API) Get(ctx context.Context, path string, query url.Values) ([]byte, error) {
	maps.Copy(query, a.Query)
	wait := pause
	for attempt := 1; ; attempt++ {
		body, again, err := a.ask(ctx, path, query)
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

// ask asks once. With an error, again is how long the other side wants to be left alone, and negative where asking again is of no use.
func (a *API) ask(ctx context.Context, path string, query url.Values) (body []byte, again time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	base := strings.TrimSuffix(a.Base.String(), "/") // its String puts a slash between host and path, where JoinPath leaves none
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
	defer func() { _ = answer.Body.Close() }() // read below as far as it matters
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

// retry returns after how long an answer may be asked for again, negative for never.
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
	Reason string // what the answer says of itself; empty where it says nothing that can be read
}

// Error implements error.
func (e *StatusError) Error() string {
	text := fmt.Sprintf("it answered %d %s", e.Status, http.StatusText(e.Status))
	if e.Reason != "" {
		text += ": " + e.Reason
	}
	return text
}

// reason finds the message of an error's body, in the forms of the vendor and of problem details (RFC 9457). Only what can be printed is
// repeated, and not much of it.
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
