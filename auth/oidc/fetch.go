package oidc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"osgate/auth"
	"osgate/internal/retryafter"
)

// The sizes of answers in bytes. A discovery document has some 5 KiB, a key with a
// certificate 4 KiB.
const (
	maxDocument = 256 << 10
	maxSet      = 1 << 20
	maxDrain    = 64 << 10 // read only so that the connection can be reused
)

// discoveryPath is where an issuer describes itself (OpenID Connect Discovery 1.0
// section 4).
const discoveryPath = "/.well-known/openid-configuration"

// fetchKeys fetches the keys of an issuer: its discovery document first, if no URL of
// its keys is set. It sends one or two requests and follows no redirect. Errors:
// *[auth.UnavailableError].
func (t Issuer) fetchKeys(ctx context.Context, transport http.RoundTripper) (*keySet, error) {
	from := t.JWKS
	if from == "" {
		var err error
		if from, err = t.discover(ctx, transport); err != nil {
			return nil, err
		}
	}
	text, err := t.get(ctx, transport, from, maxSet)
	if err != nil {
		return nil, err
	}
	set, err := readKeySet(text)
	if err != nil {
		return nil, t.unavailable(err)
	}
	return set, nil
}

// discover returns the URL of the issuer's keys by its discovery document. The document
// must name the issuer: otherwise it belongs to another one, whose keys would be used.
func (t Issuer) discover(ctx context.Context, transport http.RoundTripper) (string, error) {
	text, err := t.get(ctx, transport, strings.TrimSuffix(t.URL, "/")+discoveryPath, maxDocument)
	if err != nil {
		return "", err
	}
	var document struct {
		Issuer string `json:"issuer"`
		Keys   string `json:"jwks_uri"`
	}
	if json.Unmarshal(text, &document) != nil {
		return "", t.unavailable(errors.New("its discovery document is no JSON object of the expected form"))
	}
	if document.Issuer != t.URL {
		return "", t.unavailable(errors.New("its discovery document names another issuer"))
	}
	keys, err := parseURL(document.Keys)
	switch {
	case err != nil:
		return "", t.unavailable(fmt.Errorf("the jwks_uri in its discovery document: %w", err))
	case keys.Scheme != "https" && strings.HasPrefix(t.URL, "https:"):
		return "", t.unavailable(errors.New("the jwks_uri in its discovery document is not https"))
	}
	return document.Keys, nil
}

// get returns the body of an answer 200 of at most limit bytes.
func (t Issuer) get(ctx context.Context, transport http.RoundTripper, from string, limit int64) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return nil, t.unavailable(errors.New("the URL makes no request"))
	}
	r.Header = http.Header{"Accept": {"application/json"}, "User-Agent": {"osgate"}}
	answer, err := transport.RoundTrip(r)
	if err != nil {
		failure := t.unavailable(fmt.Errorf("request to %s: %w", r.Host, err))
		failure.Unreached = true
		return nil, failure
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		_, _ = io.CopyN(io.Discard, answer.Body, maxDrain) // so that the connection can be reused
		return nil, t.status(r.URL, answer)
	}
	text, err := io.ReadAll(io.LimitReader(answer.Body, limit+1))
	switch {
	case err != nil:
		return nil, t.unavailable(fmt.Errorf("reading the answer of %s: %w", r.Host, err))
	case int64(len(text)) > limit:
		return nil, t.unavailable(fmt.Errorf("the answer of %s has more than %d bytes", r.Host, limit))
	}
	return text, nil
}

// status returns the error for an answer that is not 200.
func (t Issuer) status(from *url.URL, answer *http.Response) *auth.UnavailableError {
	failure := t.unavailable(fmt.Errorf("%s%s answered %d", from.Host, from.EscapedPath(), answer.StatusCode))
	failure.Limited = answer.StatusCode == http.StatusTooManyRequests
	failure.RetryAfter, _ = retryafter.Of(answer.Header, time.Now())
	return failure
}

func (t Issuer) unavailable(cause error) *auth.UnavailableError {
	return &auth.UnavailableError{Issuer: t.URL, Cause: cause}
}
