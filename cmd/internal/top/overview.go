package top

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"time"

	"osgate/admin"
	"osgate/telemetry/board"
)

// The bounds of one request to the admin listener.
const (
	requestTimeout   = 5 * time.Second
	maxOverviewBytes = 4 << 20 // a busy gateway's overview has about 30 KB
)

// overview is the answer of GET /api/overview. Fields that a gateway of another version
// does not send stay zero.
type overview struct {
	admin.Overview
	Traffic board.Snapshot

	client client // the one that is open
}

// nameOf returns the name of an id, the id itself without one.
func (o overview) nameOf(id string) string { return cmp.Or(o.Names[id], id) }

// operator calls the admin listener of a gateway. It never follows a redirect, because
// the token is for this gateway only.
type operator struct {
	base      string // such as "http://127.0.0.1:8081", without a trailing slash
	token     string // empty: none
	transport http.RoundTripper
}

// errToken reports that the gateway refused the token.
var errToken = errors.New(
	"the gateway refused the token: OSGATE_ADMIN_TOKEN or OSGATE_ADMIN_TOKEN_FILE must have the gateway's own value")

// overview requests the overview once, and what is known of a client if there is one,
// within requestTimeout.
func (o operator) overview(ctx context.Context, client string) (overview, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	status, body, err := o.get(ctx, "/api/overview")
	if err != nil {
		return overview{}, err
	}
	shown, err := readOverview(status, body)
	if err != nil || client == "" {
		return shown, err
	}
	status, body, err = o.get(ctx, "/api/client?"+url.Values{"id": {client}}.Encode())
	if err != nil {
		return overview{}, err
	}
	var names map[string]string
	if shown.client, names, err = readClient(status, body); err != nil {
		return overview{}, err
	}
	if shown.Names == nil {
		shown.Names = names
	}
	maps.Copy(shown.Names, names)
	return shown, nil
}

// get requests a path of the admin listener and returns the status and the body of the
// answer.
func (o operator) get(ctx context.Context, path string) (status int, body []byte, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, o.base+path, nil)
	if err != nil {
		return 0, nil, fmt.Errorf("making the request: %w", err)
	}
	r.Header.Set("Accept", "application/json")
	if o.token != "" {
		r.Header.Set("Authorization", "Bearer "+o.token)
	}
	answer, err := o.transport.RoundTrip(r)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = answer.Body.Close() }() // read below, up to maxOverviewBytes
	body, err = io.ReadAll(io.LimitReader(answer.Body, maxOverviewBytes+1))
	if err != nil {
		return 0, nil, fmt.Errorf("reading the answer: %w", err)
	}
	if len(body) > maxOverviewBytes {
		return 0, nil, fmt.Errorf("its answer has more than %d bytes", maxOverviewBytes)
	}
	return answer.StatusCode, body, nil
}

// readOverview reads an answer that should be an overview.
func readOverview(status int, body []byte) (overview, error) {
	switch status {
	case http.StatusOK:
	case http.StatusUnauthorized, http.StatusTooManyRequests: // 429: also a wrong token, after many others
		return overview{}, errToken
	default:
		return overview{}, fmt.Errorf(
			"it answered %d: it is not an admin listener of osgate, or it does not accept this host name",
			status)
	}
	var o overview
	o.Overview.Traffic = &o.Traffic
	if err := json.Unmarshal(body, &o.Overview); err != nil {
		return overview{}, fmt.Errorf("reading the overview: %w", err)
	}
	return o, nil
}
