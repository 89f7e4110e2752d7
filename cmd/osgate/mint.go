package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

const (
	// tokenPath is the path at which Access Management issues a token to a connected
	// app ("Object Store v2 REST APIs", bearer token).
	tokenPath = "/accounts/api/v2/oauth2/token" //nolint:gosec // where tokens come from
	// mintTimeout bounds the request for a token.
	mintTimeout = 30 * time.Second
	// maxGrant bounds the size in bytes of the answer, and of a file with a secret.
	maxGrant = 64 << 10
)

// mint gets a token for a connected app by its client credentials, from the Access
// Management of that host at base. Its errors contain neither the secret nor the token.
func (c comparison) mint(ctx context.Context, transport http.RoundTripper, base *url.URL, host string) (string, error) {
	secret, err := readSecret(c.secretFile)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, mintTimeout)
	defer cancel()
	form := url.Values{
		"grant_type": {"client_credentials"}, "client_id": {c.clientID}, "client_secret": {secret},
	}.Encode()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost,
		base.JoinPath(tokenPath).String(), strings.NewReader(form))
	if err != nil {
		return "", errors.New("making the request")
	}
	r.Host = host
	r.Header = http.Header{
		"Content-Type": {"application/x-www-form-urlencoded"}, "Accept": {"application/json"}, "User-Agent": {"osgate"},
	}
	answer, err := transport.RoundTrip(r)
	if err != nil {
		return "", fmt.Errorf("requesting %s: %w", host, err)
	}
	defer func() { _ = answer.Body.Close() }() // read below, up to maxGrant
	var grant struct {
		Token string `json:"access_token"`
	}
	err = json.NewDecoder(io.LimitReader(answer.Body, maxGrant)).Decode(&grant)
	switch {
	case answer.StatusCode != http.StatusOK:
		return "", fmt.Errorf("%s answered %d to client %q", host, answer.StatusCode, c.clientID)
	case err != nil || grant.Token == "":
		return "", fmt.Errorf("%s answered without a token", host)
	}
	return grant.Token, nil
}

// readSecret reads a file that contains a secret and may end with a newline. Its errors
// do not contain the content.
func readSecret(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("reading the client secret: %w", err)
	}
	defer func() { _ = f.Close() }() // opened for reading only
	text, err := io.ReadAll(io.LimitReader(f, maxGrant))
	if err != nil {
		return "", fmt.Errorf("reading the client secret: %w", err)
	}
	secret := strings.TrimRight(string(text), "\r\n")
	if secret == "" {
		return "", errors.New("the file of the client secret is empty")
	}
	return secret, nil
}
