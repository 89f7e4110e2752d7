package top

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
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

// overview requests the overview once, within requestTimeout.
func (o operator) overview(ctx context.Context) (overview, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, o.base+"/api/overview", nil)
	if err != nil {
		return overview{}, fmt.Errorf("making the request: %w", err)
	}
	r.Header.Set("Accept", "application/json")
	if o.token != "" {
		r.Header.Set("Authorization", "Bearer "+o.token)
	}
	answer, err := o.transport.RoundTrip(r)
	if err != nil {
		return overview{}, err
	}
	defer func() { _ = answer.Body.Close() }() // read below, up to maxOverviewBytes
	return readOverview(answer)
}

// readOverview reads an answer that should be an overview.
func readOverview(answer *http.Response) (overview, error) {
	switch answer.StatusCode {
	case http.StatusOK:
	case http.StatusUnauthorized, http.StatusTooManyRequests: // 429: also a wrong token, after many others
		return overview{}, errToken
	default:
		return overview{}, fmt.Errorf(
			"it answered %d: it is not an admin listener of osgate, or it does not accept this host name",
			answer.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxOverviewBytes+1))
	if err != nil {
		return overview{}, fmt.Errorf("reading the overview: %w", err)
	}
	if len(body) > maxOverviewBytes {
		return overview{}, fmt.Errorf("its overview has more than %d bytes", maxOverviewBytes)
	}
	var o overview
	o.Overview.Traffic = &o.Traffic
	if err := json.Unmarshal(body, &o.Overview); err != nil {
		return overview{}, fmt.Errorf("reading the overview: %w", err)
	}
	return o, nil
}
