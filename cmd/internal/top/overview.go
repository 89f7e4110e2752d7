package top

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// The bounds of one request to the admin listener.
const (
	requestTimeout   = 5 * time.Second
	maxOverviewBytes = 4 << 20 // a busy gateway's overview has about 30 KB
)

// overview holds the shown fields of GET /api/overview. Fields that a gateway of
// another version does not send stay zero.
type overview struct {
	Time    time.Time `json:"time"`
	Start   time.Time `json:"start"`
	Version string    `json:"version"`
	Health  health    `json:"health"`
	Traffic traffic   `json:"traffic"`
}

type health struct {
	Status  string `json:"status"`
	Summary string `json:"summary"`
	Parts   []part `json:"parts"`
}

type part struct {
	Name    string     `json:"part"`
	State   string     `json:"state"`
	Detail  string     `json:"detail"`
	Latency *quantiles `json:"latencyMs"`
	Breaker string     `json:"breaker"`
}

// quantiles are in milliseconds. If Count is 0, there are no values.
type quantiles struct {
	Count int64   `json:"count"`
	P50   float64 `json:"p50"`
	P95   float64 `json:"p95"`
	P99   float64 `json:"p99"`
}

type traffic struct {
	Outcomes  []outcomeCount `json:"outcomes"`
	Codes     []codeCount    `json:"codes"`
	Latencies struct {
		All      quantiles `json:"all"`
		Hit      quantiles `json:"hit"`
		Upstream quantiles `json:"upstream"`
	} `json:"latencies"`
	Lookups  count `json:"lookups"`
	Upstream count `json:"upstream"`
	Saved    struct {
		Requests count `json:"requests"`
		Units    count `json:"units"`
	} `json:"saved"`
	UpstreamUnits count         `json:"upstreamUnits"`
	Clients       []clientCount `json:"clients"`
	Stores        []storeCount  `json:"stores"`
	Refusals      []refusal     `json:"refusals"`
	Shadow        []ruleCount   `json:"shadow"`
	PolicyErrors  []ruleCount   `json:"policyErrors"`
}

// count is a number of events.
type count struct {
	PerSecond float64 `json:"perSecond"`
	Window    int64   `json:"window"` // in the last minute
	Total     int64   `json:"total"`  // since the start
}

type outcomeCount struct {
	Outcome string `json:"outcome"`
	count
}

type codeCount struct {
	Code string `json:"code"`
	count
}

type clientCount struct {
	Principal string  `json:"principal"`
	Refused   int64   `json:"refused"`
	PerSecond float64 `json:"perSecond"`
	Quota     int64   `json:"quota"`
	Period    float64 `json:"period"` // seconds
	Burst     int64   `json:"burst"`
	Remaining *int64  `json:"remaining"` // nil if no quota was checked
	Over      bool    `json:"over"`
}

type storeCount struct {
	Plane        string  `json:"plane"`
	Region       string  `json:"region"`
	Organization string  `json:"organization"`
	Environment  string  `json:"environment"`
	Store        string  `json:"store"`
	Requests     int64   `json:"requests"`
	Hits         int64   `json:"hits"`
	PerSecond    float64 `json:"perSecond"`
}

type refusal struct {
	Time      time.Time `json:"time"`
	RequestID string    `json:"requestId"`
	Code      string    `json:"code"`
	Status    int       `json:"status"`
	Principal string    `json:"principal"`
	Operation string    `json:"operation"`
	Rule      string    `json:"rule"`
}

type ruleCount struct {
	Rule   string `json:"rule"`
	Window int64  `json:"window"`
	Total  int64  `json:"total"`
}

// operator calls the admin listener of a gateway. It never follows a redirect, because
// the token is for this gateway only.
type operator struct {
	base      string // such as "http://127.0.0.1:8081", without a trailing slash
	token     string // empty: none
	transport http.RoundTripper
}

// errToken reports that the gateway refused the token.
var errToken = errors.New("the gateway refused the token: OSGATE_ADMIN_TOKEN or OSGATE_ADMIN_TOKEN_FILE must have the gateway's own value")

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
		return overview{}, fmt.Errorf("it answered %d: it is not an admin listener of osgate, or it does not accept this host name", answer.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxOverviewBytes+1))
	if err != nil {
		return overview{}, fmt.Errorf("reading the overview: %w", err)
	}
	if len(body) > maxOverviewBytes {
		return overview{}, fmt.Errorf("its overview has more than %d bytes", maxOverviewBytes)
	}
	var o overview
	if err := json.Unmarshal(body, &o); err != nil {
		return overview{}, fmt.Errorf("reading the overview: %w", err)
	}
	return o, nil
}
