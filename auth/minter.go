package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// mintPath is the API at which a connected app mints a token ("Object Store v2 REST
// APIs").
const mintPath = "/accounts/api/v2/oauth2/token"

// maxMint limits the size of an answer of [mintPath] in bytes.
const maxMint = 64 << 10

// maxLife limits the stated life of a token. One that really lives longer is replaced
// early, which does no harm.
const maxLife = 24 * time.Hour

// ErrBadClient is a refusal of a connected app's own credentials.
var ErrBadClient = errors.New("the client credentials are refused")

// Minter mints tokens of one connected app (RFC 6749 section 4.4). It is safe for
// concurrent use.
type Minter struct {
	Transport http.RoundTripper
	Endpoint  func(plane string) Endpoint
	ClientID  string
}

// Minted is a new token.
type Minted struct {
	Token Token
	Life  time.Duration // from the start of the request, at most a day; 0: not stated
}

// minted contains the members of an answer that are used (RFC 6749 section 5.1).
type minted struct {
	Token   string         `json:"access_token"`
	Type    string         `json:"token_type"`
	Expires jsontext.Value `json:"expires_in"`
}

// Mint mints a token on plane. It sends one request and follows no redirect. Errors: an
// error that wraps [ErrBadClient] if the plane refuses the app or its secret, otherwise
// an *[UnavailableError]. No error quotes the secret.
func (m *Minter) Mint(ctx context.Context, plane, secret string) (Minted, error) {
	end := m.Endpoint(plane)
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {m.ClientID}, "client_secret": {secret}}
	to := end.URL.JoinPath(mintPath).String()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, to, strings.NewReader(form.Encode()))
	if err != nil {
		return Minted{}, &UnavailableError{Plane: plane, Cause: fmt.Errorf("making the request: %w", err)}
	}
	r.Host = end.Host
	r.Header = http.Header{
		"Content-Type": {"application/x-www-form-urlencoded"}, "Accept": {"application/json"}, "User-Agent": {"osgate"},
	}
	answer, err := m.Transport.RoundTrip(r)
	if err != nil {
		err = redact(err, secret, url.QueryEscape(secret))
		return Minted{}, &UnavailableError{
			Plane: plane, Cause: fmt.Errorf("request to %s: %w", end.Host, err), Unreached: true,
		}
	}
	defer answer.Body.Close()
	defer drain(answer.Body)
	if answer.StatusCode != http.StatusOK {
		return Minted{}, mintError(plane, answer, end.Host)
	}
	result, err := readMinted(answer.Body)
	if err != nil {
		return Minted{}, unavailable(plane, answer, fmt.Errorf("reading the answer of %s: %w", end.Host, err))
	}
	return result, nil
}

// mintError returns the error for an answer of host other than 200.
func mintError(plane string, answer *http.Response, host string) error {
	code, status := "", answer.StatusCode
	if status == http.StatusBadRequest || status == http.StatusUnauthorized || status == http.StatusForbidden {
		code = oauthCode(answer.Body)
	}
	words := fmt.Sprintf("%s answered %d", host, status)
	if code != "" {
		words += " (" + code + ")"
	}
	if status == http.StatusUnauthorized || status == http.StatusForbidden || code != "" {
		return fmt.Errorf("%s: %w", words, ErrBadClient)
	}
	return unavailable(plane, answer, errors.New(words))
}

// oauthCode returns the error code in an answer that refuses a client (RFC 6749 section
// 5.2), and the empty string for any other text, which is never quoted.
func oauthCode(body io.Reader) string {
	var result struct {
		Error string `json:"error"`
	}
	codes := []string{
		"invalid_client", "unauthorized_client", "invalid_grant", "invalid_scope", "invalid_request", "unsupported_grant_type",
	}
	if readObject(body, maxMint, &result) != nil || !slices.Contains(codes, result.Error) {
		return ""
	}
	return result.Error
}

// readMinted reads an answer that contains a new token. Its errors quote no part of it.
func readMinted(body io.Reader) (Minted, error) {
	var result minted
	if err := readObject(body, maxMint, &result); err != nil {
		return Minted{}, err
	}
	if !isToken(result.Token) {
		return Minted{}, unclearError("it contains no token")
	}
	if result.Type != "" && !strings.EqualFold(result.Type, "bearer") {
		return Minted{}, unclearError("its token is no bearer token")
	}
	life, err := lifetime(result.Expires)
	return Minted{NewToken(result.Token), life}, err
}

// lifetime reads a positive number of seconds, or a string that contains one. It
// returns 0 if v is absent.
func lifetime(v jsontext.Value) (time.Duration, error) {
	if len(v) == 0 || v.Kind() == 'n' {
		return 0, nil
	}
	var number json.Number // it accepts both forms
	if err := json.Unmarshal(v, &number); err != nil {
		return 0, unclearError("its expires_in is no number")
	}
	seconds, err := strconv.ParseFloat(number.String(), 64) // too large a number is an error
	if err != nil || seconds <= 0 {
		return 0, unclearError("its expires_in is no lifetime")
	}
	return time.Duration(min(seconds, maxLife.Seconds()) * float64(time.Second)), nil
}
