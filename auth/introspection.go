package auth

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// introspectPath is the API at which a connected app may introspect tokens
// (access-management-api 1.0.45).
const introspectPath = "/accounts/api/v2/oauth2/introspect"

// maxIntrospection limits the size of an introspection answer in bytes.
const maxIntrospection = 1 << 20

// Introspection finds the principal of a token by a request to an authorization server
// (RFC 7662), with the gateway's own credentials. It prints as "[redacted]", since
// Secret would be printed with it. It is safe for concurrent use.
type Introspection struct {
	Transport http.RoundTripper
	Endpoint  func(plane string) Endpoint // of each plane's own introspection; not used if URL is set
	// one introspection endpoint for the tokens of all planes; nil: each plane's own
	URL      *url.URL
	ClientID string
	Secret   string
}

// introspected contains the members of an answer that are used (RFC 7662 section 2.2,
// with the extension members of Access Management and others).
type introspected struct {
	Active       *bool          `json:"active"`
	TokenType    string         `json:"token_type"`
	ClientID     string         `json:"client_id"`
	UserID       string         `json:"user_id"`
	Subject      string         `json:"sub"`
	Username     string         `json:"username"`
	GrantType    string         `json:"grant_type"`
	Organization string         `json:"org_id"`
	Expires      jsontext.Value `json:"exp"`
}

// Validator implements [Resolver].
func (i *Introspection) Validator(plane string) string {
	to, host := i.target(plane)
	return "introspect " + to.Redacted() + " at " + host + " as " + i.ClientID
}

// target returns the URL and the Host header of the request.
func (i *Introspection) target(plane string) (*url.URL, string) {
	if i.URL != nil {
		return i.URL, i.URL.Host
	}
	end := i.Endpoint(plane)
	return end.URL.JoinPath(introspectPath), end.Host
}

// Lookup implements [Resolver]. It sends one request and follows no redirect. Errors:
// [ErrBadToken] if the server answers that the token is not active, has expired, or is
// no bearer token; otherwise an *[UnavailableError]. A refusal of the gateway's own
// credentials is never reported as a bad token.
func (i *Introspection) Lookup(ctx context.Context, plane string, token Token) (Answer, error) {
	r, host, err := i.request(ctx, plane, token)
	if err != nil {
		return Answer{}, &UnavailableError{
			Plane: plane, Cause: fmt.Errorf("making the request: %w", i.redact(err, token)),
		}
	}
	answer, err := i.Transport.RoundTrip(r)
	if err != nil {
		return Answer{}, &UnavailableError{
			Plane: plane, Cause: fmt.Errorf("request to %s: %w", host, i.redact(err, token)), Unreached: true,
		}
	}
	defer answer.Body.Close()
	defer drain(answer.Body)
	result := Answer{Allowance: allowance(answer.Header)}
	if answer.StatusCode != http.StatusOK {
		return result, statusError(plane, answer, host)
	}
	result.Principal, err = readIntrospection(answer.Body, plane)
	if err != nil && !errors.Is(err, ErrBadToken) {
		err = unreadable(plane, answer, host, err)
	}
	return result, err
}

// statusError returns the error for an answer of host other than 200. All of the
// request but the token is the same each time, so a status which blames the size or the
// form of the content blames the token (RFC 9110 section 15.5). So does 400, unless it
// refuses the gateway's own credentials (RFC 6749 section 5.2).
func statusError(plane string, answer *http.Response, host string) *UnavailableError {
	credentials := answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden
	if answer.StatusCode == http.StatusBadRequest {
		credentials = refusesClient(answer.Body)
	}
	if credentials {
		return unavailable(plane, answer,
			fmt.Errorf("%s answered %d: it does not accept the gateway's own credentials", host, answer.StatusCode))
	}
	failure := unavailable(plane, answer, fmt.Errorf("%s answered %d", host, answer.StatusCode))
	switch answer.StatusCode {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusRequestURITooLong,
		http.StatusUnprocessableEntity, http.StatusRequestHeaderFieldsTooLarge:
		failure.Answered = true
	}
	return failure
}

// refusesClient reports whether an error of an authorization server refuses the
// gateway's own credentials (RFC 6749 section 5.2).
func refusesClient(body io.Reader) bool {
	var result struct {
		Error string `json:"error"`
	}
	err := readObject(body, maxIntrospection, &result)
	return err == nil && (result.Error == "invalid_client" || result.Error == "unauthorized_client")
}

// request returns one introspection request, with Basic credentials that are
// form-encoded first (RFC 6749 section 2.3.1).
func (i *Introspection) request(ctx context.Context, plane string, token Token) (*http.Request, string, error) {
	to, host := i.target(plane)
	form := url.Values{"token": {token.Text()}, "token_type_hint": {"access_token"}}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, to.String(), strings.NewReader(form.Encode()))
	if err != nil {
		return nil, host, err
	}
	r.Host = host
	r.Header = http.Header{
		"Content-Type": {"application/x-www-form-urlencoded"}, "Accept": {"application/json"}, "User-Agent": {"osgate"},
	}
	r.SetBasicAuth(url.QueryEscape(i.ClientID), url.QueryEscape(i.Secret))
	return r, host, nil
}

// redact keeps token and credentials out of an error, in every form in which they are
// sent, and the query of URL, which may contain a key.
func (i *Introspection) redact(err error, token Token) error {
	text, id, secret := token.Text(), url.QueryEscape(i.ClientID), url.QueryEscape(i.Secret)
	query := ""
	if i.URL != nil {
		query = i.URL.RawQuery
	}
	return redact(err, text, url.QueryEscape(text), i.Secret, secret,
		base64.StdEncoding.EncodeToString([]byte(id+":"+secret)), query)
}

// readIntrospection reads the principal of a token. Errors: [ErrBadToken],
// unclearError, and those of readObject.
func readIntrospection(body io.Reader, plane string) (*Principal, error) {
	var result introspected
	if err := readObject(body, maxIntrospection, &result); err != nil {
		return nil, err
	}
	switch {
	case result.Active == nil:
		return nil, unclearError("it does not state whether the token is active")
	case !*result.Active, result.TokenType != "" && !strings.EqualFold(result.TokenType, "bearer"):
		return nil, ErrBadToken // neither a refresh token nor a token that is bound to a key is a bearer token
	}
	p := result.principal(plane)
	var err error
	if p.Expires, err = instant(result.Expires); err != nil {
		return nil, err
	}
	switch {
	case p.expired(time.Now()):
		return nil, ErrBadToken
	case p.Client == "" && p.User == "":
		return nil, errNameless
	}
	return p, nil
}

// principal returns the principal that s names. As with [Anypoint], a
// client_credentials app does not act for a user; RFC 7662 has no member for the grant
// type, but the subject of such a token is the client itself (RFC 9068 section 2.2).
func (s *introspected) principal(plane string) *Principal {
	p := &Principal{Plane: plane, Client: s.ClientID}
	if s.ClientID == "" || s.GrantType != "client_credentials" {
		p.User = cmp.Or(s.UserID, s.Subject, s.Username)
	}
	if p.User == s.ClientID {
		p.User = ""
	}
	p.Organizations = distinct([]string{s.Organization})
	return p
}

// Limits of the numbers that are read as a time.
const (
	// A larger number, after the year 5138, is in milliseconds, which Access
	// Management's first introspection API returns.
	maxSeconds = 100_000_000_000
	maxMillis  = 1000 * maxSeconds
)

const errNoInstant = unclearError("its exp is no time")

// instant reads a time in seconds (RFC 7519 section 2) or milliseconds since 1970, as a
// JSON number or as a string that contains one. It returns the zero time if v is
// absent, and 1970 for an earlier time. It returns errNoInstant if v is no finite
// number.
func instant(v jsontext.Value) (time.Time, error) {
	if len(v) == 0 || v.Kind() == 'n' {
		return time.Time{}, nil
	}
	if v.Kind() == '"' {
		text, err := jsontext.AppendUnquote(nil, v)
		if err != nil {
			return time.Time{}, errNoInstant
		}
		v = text
	}
	f, err := strconv.ParseFloat(string(v), 64) // returns an error for a number that is too large
	switch {
	case err != nil || v.Kind() != '0' || !v.IsValid():
		return time.Time{}, errNoInstant
	case f > maxSeconds:
		return time.UnixMilli(int64(min(f, maxMillis))), nil
	}
	return time.UnixMilli(int64(max(f, 0) * 1000)), nil
}

// String returns a fixed text.
func (i Introspection) String() string { return redacted }

// GoString is String.
func (i Introspection) GoString() string { return redacted }

// Format is String, for every verb.
func (i Introspection) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue is String, for slog.
func (i Introspection) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON is String, for JSON.
func (i Introspection) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }
