package auth

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// introspectPath is where a connected app may ask about tokens (access-management-api 1.0.45).
const introspectPath = "/accounts/api/v2/oauth2/introspect"

// maxIntrospection bounds an answer of introspection in bytes.
const maxIntrospection = 1 << 20

// Introspection asks an authorization server whose a token is (RFC 7662), with credentials of the gateway's own. It is safe for concurrent use. It prints
// as "[redacted]", since Secret would be printed with it.
type Introspection struct {
	Transport http.RoundTripper
	Endpoint  func(plane string) Endpoint // where each plane's own introspection is; not used beside URL
	URL       *url.URL                    // the one place to ask about the tokens of all planes; nil: each plane's own
	ClientID  string
	Secret    string
}

// introspected is what of an answer is used (RFC 7662 section 2.2, with the extension members of Access Management and others).
type introspected struct {
	Active       *bool       `json:"active"`
	TokenType    string      `json:"token_type"`
	ClientID     string      `json:"client_id"`
	UserID       string      `json:"user_id"`
	Subject      string      `json:"sub"`
	Username     string      `json:"username"`
	GrantType    string      `json:"grant_type"`
	Organization string      `json:"org_id"`
	Expires      json.Number `json:"exp"`
}

// Validator implements [Asker].
func (i *Introspection) Validator(plane string) string {
	to, host := i.place(plane)
	return "introspect " + to.Redacted() + " at " + host + " as " + i.ClientID
}

// place returns the URL to ask at, and the Host header.
func (i *Introspection) place(plane string) (*url.URL, string) {
	if i.URL != nil {
		return i.URL, i.URL.Host
	}
	end := i.Endpoint(plane)
	return end.URL.JoinPath(introspectPath), end.Host
}

// Ask implements [Asker]. It asks once and follows no redirect. Errors: [ErrBadToken] where the server says that the token is not active, is over, or is no
// bearer token; else an *[UnavailableError]. That the server refuses the gateway's own credentials is never the caller's fault.
func (i *Introspection) Ask(ctx context.Context, plane string, token Token) (Answer, error) {
	r, host, err := i.request(ctx, plane, token)
	if err != nil {
		return Answer{}, &UnavailableError{Plane: plane, Cause: fmt.Errorf("making the request: %w", i.hide(err, token))}
	}
	answer, err := i.Transport.RoundTrip(r)
	if err != nil {
		return Answer{}, &UnavailableError{Plane: plane, Cause: fmt.Errorf("asking %s: %w", host, i.hide(err, token)), Unreached: true}
	}
	defer answer.Body.Close()
	defer drain(answer.Body)
	said := Answer{Allowance: allowance(answer.Header)}
	switch answer.StatusCode {
	case http.StatusOK:
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden:
		return said, unhelpful(plane, answer, fmt.Errorf("%s answered %d: it does not accept the gateway's own credentials", host, answer.StatusCode))
	default:
		return said, unhelpful(plane, answer, fmt.Errorf("%s answered %d", host, answer.StatusCode))
	}
	said.Principal, err = readIntrospection(answer.Body, plane)
	if err != nil && !errors.Is(err, ErrBadToken) {
		err = unhelpful(plane, answer, fmt.Errorf("reading the answer of %s: %w", host, err))
	}
	return said, err
}

// request is one question, with Basic credentials that are form-encoded first (RFC 6749 section 2.3.1).
func (i *Introspection) request(ctx context.Context, plane string, token Token) (*http.Request, string, error) {
	to, host := i.place(plane)
	form := url.Values{"token": {token.reveal()}, "token_type_hint": {"access_token"}}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, to.String(), strings.NewReader(form.Encode()))
	if err != nil {
		return nil, host, err
	}
	r.Host = host
	r.Header = http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Accept": {"application/json"}, "User-Agent": {"osgate"}}
	r.SetBasicAuth(url.QueryEscape(i.ClientID), url.QueryEscape(i.Secret))
	return r, host, nil
}

// hide keeps token and credentials out of an error, in every form in which they are sent.
func (i *Introspection) hide(err error, token Token) error {
	text, id, secret := token.reveal(), url.QueryEscape(i.ClientID), url.QueryEscape(i.Secret)
	return hide(err, text, url.QueryEscape(text), i.Secret, secret, base64.StdEncoding.EncodeToString([]byte(id+":"+secret)))
}

func readIntrospection(body io.Reader, plane string) (*Principal, error) {
	var said introspected
	if err := json.NewDecoder(io.LimitReader(body, maxIntrospection)).Decode(&said); err != nil {
		return nil, plain(err)
	}
	switch {
	case said.Active == nil:
		return nil, errors.New("it does not say whether the token is active")
	case !*said.Active, said.TokenType != "" && !strings.EqualFold(said.TokenType, "bearer"):
		return nil, ErrBadToken // a refresh token is no bearer token, nor is one that is bound to a key
	}
	p := said.principal(plane)
	switch {
	case p.Client == "" && p.User == "":
		return nil, errNameless
	case p.over(time.Now()):
		return nil, ErrBadToken
	}
	return p, nil
}

// principal keeps what matters of s. As with [Anypoint], the user of a client_credentials app is nobody it acts for; RFC 7662 names no grant type, but
// such a token's subject is the client itself (RFC 9068 section 2.2).
func (s *introspected) principal(plane string) *Principal {
	p := &Principal{Plane: plane, Client: s.ClientID, Expires: instant(s.Expires)}
	if s.ClientID == "" || s.GrantType != "client_credentials" {
		p.User = cmp.Or(s.UserID, s.Subject, s.Username)
	}
	if p.User == s.ClientID {
		p.User = ""
	}
	p.Organizations = distinct([]string{s.Organization})
	return p
}

// Bounds of what is read as an instant.
const (
	maxSeconds = 100_000_000_000 // above it, in the year 5138, are milliseconds: Access Management's first introspection answers in them
	maxMillis  = 1000 * maxSeconds
)

// instant reads a time in seconds (RFC 7519 section 2) or milliseconds since 1970. Zero: there is none.
func instant(n json.Number) time.Time {
	f, err := n.Float64()
	switch {
	case err != nil || f <= 0:
		return time.Time{}
	case f > maxSeconds:
		return time.UnixMilli(int64(min(f, maxMillis)))
	}
	return time.UnixMilli(int64(f * 1000))
}

// String returns a fixed text.
func (i Introspection) String() string { return redacted }

// GoString is String.
func (i Introspection) GoString() string { return redacted }

// Format is String, whatever the verb.
func (i Introspection) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue is String, for slog.
func (i Introspection) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON is String, for JSON.
func (i Introspection) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }
