package proxy

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"osgate/auth"
	"osgate/objectstore"
	"osgate/record"
	"osgate/regionmap"
)

// code is what went wrong, in one word: the end of the problem's type, a field of the log and a label of the metrics.
type code string

// The codes: the closed list of what a client can be told by us.
const (
	codeNotObjectStore      code = "not-object-store"
	codeBadPath             code = "bad-path"
	codeBadRequest          code = "bad-request"
	codeLoop                code = "loop"
	codeRegionUnknown       code = "region-unknown"
	codeRegionNotAllowed    code = "region-not-allowed"
	codeNoToken             code = "no-token"
	codeBadToken            code = "bad-token"
	codeIdentityUnavailable code = "identity-unavailable"
	codeDenied              code = "denied"
	codeOverQuota           code = "over-quota"
	codeOverBudget          code = "over-budget"
	codeTooLarge            code = "too-large"
	codeUpstreamUnreachable code = "upstream-unreachable"
	codeUpstreamTimeout     code = "upstream-timeout"
	codeOverloaded          code = "overloaded"
	codeDraining            code = "draining"
)

// proxyInternal is the error type of Proxy-Status where upstream has no part in the answer.
const proxyInternal = "proxy_internal_response"

// answers is the table from code to answer: the status, a title for people, and the error type of Proxy-Status (RFC 9209 section 2.3).
var answers = map[code]struct {
	status int
	title  string
	proxy  string
}{
	codeNotObjectStore:      {http.StatusNotFound, "Not an Object Store v2 operation", "http_request_error"},
	codeBadPath:             {http.StatusBadRequest, "Bad path", "http_request_error"},
	codeBadRequest:          {http.StatusBadRequest, "Bad request", "http_request_error"},
	codeLoop:                {http.StatusLoopDetected, "Loop detected", "proxy_loop_detected"},
	codeRegionUnknown:       {http.StatusBadRequest, "Region unknown", "http_request_error"},
	codeRegionNotAllowed:    {http.StatusForbidden, "Region not allowed", "http_request_denied"},
	codeNoToken:             {http.StatusUnauthorized, "No bearer token", "http_request_denied"},
	codeBadToken:            {http.StatusUnauthorized, "Bearer token refused", "http_request_denied"},
	codeIdentityUnavailable: {http.StatusServiceUnavailable, "Identity unavailable", "destination_unavailable"},
	codeDenied:              {http.StatusForbidden, "Denied by policy", "http_request_denied"},
	codeOverQuota:           {http.StatusTooManyRequests, "Over quota", "http_request_denied"},
	codeOverBudget:          {http.StatusTooManyRequests, "Over budget", "http_request_denied"},
	codeTooLarge:            {http.StatusRequestEntityTooLarge, "Request body too large", "http_request_error"},
	codeUpstreamUnreachable: {http.StatusBadGateway, "No answer from Object Store", "destination_unavailable"},
	codeUpstreamTimeout:     {http.StatusGatewayTimeout, "Object Store too late", "http_response_timeout"},
	codeOverloaded:          {http.StatusServiceUnavailable, "Overloaded", proxyInternal},
	codeDraining:            {http.StatusServiceUnavailable, "Shutting down", proxyInternal},
}

// refusal is an error that says how the exchange is to be answered.
type refusal struct {
	code       code
	status     int           // instead of the table's; 0: the table's
	title      string        // instead of the table's, where that is not true; empty: the table's
	proxy      string        // instead of the table's; empty: the table's
	detail     string        // for the client
	cause      error         // for the log alone
	retryAfter time.Duration // 0: none
	gone       bool          // the client has probably left: recorded as 499
	violated   string        // name of the quota policy that was over its limit, of a 429; empty: none
	rule       string        // id of the policy's rule that refused; empty: none
}

// The quota policies by their names in RateLimit-Policy and in a problem's violated-policies.
const (
	policyClient       = "client"       // the client's own quota
	policyBudget       = "budget"       // what all clients may ask of upstream
	policyUpstream     = "upstream"     // Object Store's own limit, met a moment ago
	policyToken        = "token"        // Access Management calls with one token
	policyAddress      = "address"      // Access Management calls of one address, without a token that is known to be good
	policyPlane        = "plane"        // what the control plane still answers, less what is kept for identification
	policyFailures     = "failures"     // failed identifications of one address
	policyUnidentified = "unidentified" // exchanges of one address that are not identified
	policyStrangers    = "strangers"    // refused writes of those who are no members of the organization
)

// Error implements error.
func (r refusal) Error() string { return string(r.code) + ": " + r.detail }

// answer returns what the client gets of r: the table's, but for what r has of its own.
func (r *refusal) answer() (status int, title, proxyError string) {
	a := answers[r.code]
	return cmp.Or(r.status, a.status), cmp.Or(r.title, a.title), cmp.Or(r.proxy, a.proxy)
}

func tooLarge(limit int64) refusal {
	return refusal{code: codeTooLarge, detail: fmt.Sprintf("the request body is larger than %d bytes", limit)}
}

// refusalOf is the one place where an error of any stage becomes an answer.
func refusalOf(err error) refusal {
	if r, ok := errors.AsType[refusal](err); ok {
		return r
	}
	if e, ok := errors.AsType[*objectstore.PathError](err); ok {
		return refusal{code: codeBadPath, detail: e.Error()}
	}
	if e, ok := errors.AsType[*objectstore.QueryError](err); ok {
		return refusal{code: codeBadRequest, detail: e.Error()}
	}
	if e, ok := errors.AsType[*regionmap.UnknownError](err); ok {
		return refusal{code: codeRegionUnknown, detail: e.Error()}
	}
	if e, ok := errors.AsType[*regionmap.NotAllowedError](err); ok {
		return refusal{code: codeRegionNotAllowed, detail: e.Error()}
	}
	if e, ok := errors.AsType[*auth.UnavailableError](err); ok {
		return refusal{code: codeIdentityUnavailable, cause: err, retryAfter: max(e.RetryAfter, time.Second),
			detail: "the control plane cannot say at the moment whose token this is"}
	}
	if e, ok := errors.AsType[*regionmap.UndiscoveredError](err); ok && !errors.Is(err, auth.ErrBadToken) {
		r := refusal{code: codeUpstreamUnreachable, title: "Region not discovered", detail: e.Error(), cause: errors.Join(e.Unwrap()...)}
		if e.Late {
			r.code = codeUpstreamTimeout
		}
		return r
	}
	if e, ok := errors.AsType[*auth.GuessingError](err); ok {
		return guessing(e.RetryAfter)
	}
	switch {
	case errors.Is(err, objectstore.ErrNotObjectStore):
		return refusal{code: codeNotObjectStore, detail: "this method and path are no Object Store v2 or Stats API operation"}
	case errors.Is(err, auth.ErrNoToken):
		return refusal{code: codeNoToken, detail: "send Authorization: Bearer and an Anypoint access token"}
	case errors.Is(err, auth.ErrBadToken):
		return refusal{code: codeBadToken, detail: "the control plane of this region does not accept this token; mint a new one there"}
	case errors.Is(err, auth.ErrManyTokens):
		return refusal{code: codeBadRequest, detail: "more than one Authorization header"}
	case errors.Is(err, ErrStatisticsBusy):
		return refusal{code: codeOverloaded, detail: "too many statistics are being read at the moment", cause: err, retryAfter: time.Second}
	case errors.Is(err, ErrStatisticsAway):
		return refusal{
			code: codeOverloaded, title: "Statistics unavailable", detail: "the statistics store does not answer", cause: err,
			retryAfter: time.Second,
		}
	case errors.Is(err, context.Canceled):
		return refusal{code: codeBadRequest, status: statusLeft, detail: "the client closed the request", cause: err, gone: true}
	}
	return refusal{code: codeOverloaded, title: "No answer", detail: "the gateway cannot answer this at the moment", cause: err, retryAfter: time.Second}
}

// problem is an answer of ours (RFC 9457), with message beside detail because Object Store's clients look there.
type problem struct {
	Type     string `json:"type"`
	Title    string `json:"title"`
	Status   int    `json:"status"`
	Detail   string `json:"detail"`
	Instance string `json:"instance"`
	Message  string `json:"message"`

	// Violated names the quota policies of a 429 (draft-ietf-httpapi-ratelimit-headers-10, section "Problem Types").
	Violated []string `json:"violated-policies,omitempty"`

	// Rule is the id of the policy's rule that refused, for whoever keeps the rules.
	Rule string `json:"rule,omitempty"`
}

// refuse turns an error into the answer. The exchange gives its slot back before it is written.
func (p *Proxy) refuse(x *exchange, err error) {
	r := refusalOf(err)
	status, title, proxyError := r.answer()
	x.rec.Status, x.rec.Code, x.rec.Cause = status, string(r.code), record.Cause(r.cause)
	if r.gone {
		x.rec.Status = statusLeft
	}
	if status == statusLeft { // nobody is refused
		x.rec.Code = ""
	}
	if r.rule != "" || r.code == codeDenied { // what rules permit, none of them has refused
		x.rec.Rule, x.rec.Denied = r.rule, true
	}
	if x.w.status != 0 {
		return // the answer had begun; record tells what became of it
	}
	if status == statusLeft { // a client that closed its sending half alone still listens, and 499 is no status of HTTP
		x.severed = true
		return
	}
	if !p.retreat(x) {
		x.severed, x.rec.Aborted = true, true
		return
	}
	if x.location == (regionmap.Location{}) { // no stage has placed it
		x.location = p.named(x.r)
	}
	h := x.w.Header()
	clear(h) // what a stage had prepared belongs to another answer
	x.ourHeaders(h)
	r.headers(h, proxyError)
	body := r.problem(title, status, x.rec.ID)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	x.w.deadline.total = refusalTime
	x.w.WriteHeader(status)
	if x.r.Method != http.MethodHead {
		_, _ = x.w.Write(body) // a client that left is seen by record
	}
}

// problem returns the body of the answer to the request with this id.
func (r refusal) problem(title string, status int, id string) []byte {
	said := problem{
		Type: "urn:osgate:" + string(r.code), Title: title, Status: status, Detail: r.detail, Instance: id, Message: r.detail, Rule: r.rule,
	}
	if r.violated != "" {
		said.Violated = []string{r.violated}
	}
	body, _ := json.Marshal(said) // plain strings cannot fail to marshal
	return body
}

// headers adds what goes with the code.
func (r refusal) headers(h http.Header, proxyError string) {
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	h.Set("Proxy-Status", fmt.Sprintf(`%s; error=%s; details="%s"`, pseudonym, proxyError, r.code))
	if r.retryAfter > 0 {
		h.Set("Retry-After", strconv.FormatInt(max(1, seconds(r.retryAfter)), 10))
	}
	switch r.code {
	case codeNoToken:
		h.Set("WWW-Authenticate", `Bearer realm="Anypoint"`)
	case codeBadToken:
		h.Set("WWW-Authenticate", `Bearer realm="Anypoint", error="invalid_token"`)
	case codeDraining, codeTooLarge:
		h.Set("Connection", "close")
	default:
	}
}
