package proxy

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"osgate/auth"
	"osgate/internal/via"
	"osgate/objectstore"
	"osgate/record"
	"osgate/regionmap"
)

// proxyInternal is the error type of Proxy-Status if upstream has no part in the
// answer.
const proxyInternal = "proxy_internal_response"

// answers maps each code to its answer: the status, a title for people, and the error
// type of Proxy-Status (RFC 9209 section 2.3).
var answers = map[record.Code]struct {
	status int
	title  string
	proxy  string
}{

	record.CodeNotObjectStore:      {http.StatusNotFound, "Not an Object Store v2 operation", "http_request_error"},
	record.CodeBadPath:             {http.StatusBadRequest, "Bad path", "http_request_error"},
	record.CodeBadRequest:          {http.StatusBadRequest, "Bad request", "http_request_error"},
	record.CodeLoop:                {http.StatusLoopDetected, "Loop detected", "proxy_loop_detected"},
	record.CodeRegionUnknown:       {http.StatusBadRequest, "Region unknown", "http_request_error"},
	record.CodeRegionNotAllowed:    {http.StatusForbidden, "Region not allowed", "http_request_denied"},
	record.CodeUpstreamCredential:  {http.StatusBadGateway, "Credential of the gateway refused", "destination_unavailable"},
	record.CodeNoToken:             {http.StatusUnauthorized, "No bearer token", "http_request_denied"},
	record.CodeBadToken:            {http.StatusUnauthorized, "Bearer token refused", "http_request_denied"},
	record.CodeIdentityUnavailable: {http.StatusServiceUnavailable, "Identity unavailable", "destination_unavailable"},
	record.CodeDenied:              {http.StatusForbidden, "Denied by policy", "http_request_denied"},
	record.CodeOverQuota:           {http.StatusTooManyRequests, "Over quota", "http_request_denied"},
	record.CodeOverBudget:          {http.StatusTooManyRequests, "Over budget", "http_request_denied"},
	record.CodeTooLarge:            {http.StatusRequestEntityTooLarge, "Request body too large", "http_request_error"},
	record.CodeUpstreamUnreachable: {http.StatusBadGateway, "No answer from Object Store", "destination_unavailable"},
	record.CodeUpstreamTimeout:     {http.StatusGatewayTimeout, "Object Store timeout", "http_response_timeout"},
	record.CodeOverloaded:          {http.StatusServiceUnavailable, "Overloaded", proxyInternal},
	record.CodeDraining:            {http.StatusServiceUnavailable, "Shutting down", proxyInternal},
}

// refusal is an error that defines the answer of the exchange.
type refusal struct {
	code       record.Code
	status     int           // instead of the table's; 0: the table's
	title      string        // instead of the table's, if that would be wrong; empty: the table's
	proxy      string        // instead of the table's; empty: the table's
	detail     string        // for the client
	cause      error         // for the log only
	retryAfter time.Duration // 0: none
	gone       bool          // the client has probably left: recorded as 499
	violated   string        // of a 429: name of the quota policy that was exceeded; empty: none
	rule       string        // id of the policy's rule that refused; empty: none
}

// The names of the quota policies in RateLimit-Policy and in a problem's
// violated-policies.
const (
	policyClient   = "client"   // the client's own quota
	policyBudget   = "budget"   // upstream requests of all clients
	policyUpstream = "upstream" // Object Store's own limit, exceeded a moment ago
	policyToken    = "token"    // Access Management calls with one token
	policyAddress  = "address"  // Access Management calls of one address, without a known token
	// The rest of the control plane's allowance, without the part reserved for
	// identification.
	policyPlane        = "plane"
	policyFailures     = "failures"     // failed identifications of one address
	policyUnidentified = "unidentified" // exchanges of one address that are not identified
	policyStrangers    = "strangers"    // refused writes of clients that are not members of the organization
)

// Error implements error.
func (r refusal) Error() string { return string(r.code) + ": " + r.detail }

// answer returns the status, the title and the error type: those of the table, unless r
// has its own.
func (r *refusal) answer() (status int, title, proxyError string) {
	a := answers[r.code]
	return cmp.Or(r.status, a.status), cmp.Or(r.title, a.title), cmp.Or(r.proxy, a.proxy)
}

func tooLarge(limit int64) refusal {
	return refusal{code: record.CodeTooLarge, detail: fmt.Sprintf("the request body is larger than %d bytes", limit)}
}

// refusalOf turns an error of any stage into a refusal.
func refusalOf(err error) refusal {
	if r, ok := errors.AsType[refusal](err); ok {
		return r
	}
	if e, ok := errors.AsType[*objectstore.PathError](err); ok {
		return refusal{code: record.CodeBadPath, detail: e.Error()}
	}
	if e, ok := errors.AsType[*objectstore.QueryError](err); ok {
		return refusal{code: record.CodeBadRequest, detail: e.Error()}
	}
	if e, ok := errors.AsType[*regionmap.UnknownError](err); ok {
		return refusal{code: record.CodeRegionUnknown, detail: e.Error()}
	}
	if e, ok := errors.AsType[*regionmap.NotAllowedError](err); ok {
		return refusal{code: record.CodeRegionNotAllowed, detail: e.Error()}
	}
	if ownCredentialRefused(err) {
		return refusal{code: record.CodeUpstreamCredential, cause: err,
			detail: "Anypoint does not accept the gateway's own credential; the gateway's operator has to act"}
	}
	if e, ok := errors.AsType[*auth.UnavailableError](err); ok {
		return unavailable(e, err)
	}
	if e, ok := errors.AsType[*regionmap.UndiscoveredError](err); ok && !errors.Is(err, auth.ErrBadToken) {
		r := refusal{code: record.CodeUpstreamUnreachable, title: "Region not discovered", detail: e.Error(),
			cause: errors.Join(e.Unwrap()...)}
		if e.Late {
			r.code = record.CodeUpstreamTimeout
		}
		return r
	}
	if e, ok := errors.AsType[*auth.GuessingError](err); ok {
		return tooManyFailures(e.RetryAfter)
	}
	switch {
	case errors.Is(err, objectstore.ErrNotObjectStore):
		return refusal{code: record.CodeNotObjectStore,
			detail: "this method and path are not an operation of Object Store v2 or the Stats API"}
	case errors.Is(err, auth.ErrNoToken):
		return refusal{code: record.CodeNoToken,
			detail: "the request must have the header Authorization: Bearer with an Anypoint access token"}
	case errors.Is(err, auth.ErrBadToken):
		return refusal{code: record.CodeBadToken,
			detail: "the control plane of this region does not accept this token; mint a new one there"}
	case errors.Is(err, auth.ErrManyTokens):
		return refusal{code: record.CodeBadRequest, detail: "the request has more than one Authorization header"}
	case errors.Is(err, ErrStatisticsBusy):
		return refusal{code: record.CodeOverloaded, detail: "too many requests for statistics are under way",
			cause: err, retryAfter: time.Second}
	case errors.Is(err, ErrStatisticsUnavailable):
		return refusal{code: record.CodeOverloaded, title: "Statistics unavailable",
			detail: "the statistics store does not answer", cause: err, retryAfter: time.Second}
	case errors.Is(err, context.Canceled):
		return refusal{code: record.CodeBadRequest, status: record.StatusClientLeft,
			detail: "the client closed the request", cause: err, gone: true}
	}
	return refusal{
		code: record.CodeOverloaded, title: "No answer",
		detail: "the gateway cannot answer this request at the moment", cause: err, retryAfter: time.Second,
	}
}

// unavailable returns the refusal of a token that e, in the chain of err, left
// undecided.
func unavailable(e *auth.UnavailableError, err error) refusal {
	r := refusal{
		code: record.CodeIdentityUnavailable, cause: err, retryAfter: max(e.RetryAfter, time.Second),
		detail: "the control plane cannot identify this token at the moment",
	}
	if e.Issuer != "" {
		r.detail = "the issuer of this token does not answer the gateway at the moment"
	}
	return r
}

// problem is the body of a refusal (RFC 9457). It has message in addition to detail
// because Object Store's clients read message.
type problem struct {
	Type     string `json:"type"`
	Title    string `json:"title"`
	Status   int    `json:"status"`
	Detail   string `json:"detail"`
	Instance string `json:"instance"`
	Message  string `json:"message"`

	// Violated lists the quota policies of a 429
	// (draft-ietf-httpapi-ratelimit-headers-10, section "Problem Types").
	Violated []string `json:"violated-policies,omitempty"`

	// Rule is the id of the rule that refused the request, for the policy's operator.
	Rule string `json:"rule,omitempty"`
}

// refuse answers with the refusal for err. The exchange frees its slot before the
// answer is written.
func (p *Proxy) refuse(x *exchange, err error) {
	r := refusalOf(err)
	status, title, proxyError := r.answer()
	x.rec.Status, x.rec.Code, x.rec.Cause = status, r.code, record.Cause(r.cause)
	x.rec.Violated = r.violated
	if r.gone {
		x.rec.Status = record.StatusClientLeft
	}
	if status == record.StatusClientLeft { // a client that left is not refused
		x.rec.Code = ""
	}
	if r.rule != "" || r.code == record.CodeDenied { // otherwise the rule permitted the request
		x.rec.Rule, x.rec.Denied = r.rule, true
	}
	if x.w.status != 0 {
		return // the answer had begun; record reports how it ended
	}
	// A client that closed only its sending half can still read, and HTTP has no status
	// 499.
	if status == record.StatusClientLeft {
		x.noAnswer = true
		return
	}
	if !p.moveToLingering(x) {
		x.noAnswer, x.rec.Aborted = true, true
		return
	}
	if x.location == (regionmap.Location{}) { // no stage has set it
		x.location = p.namedLocation(x.r)
	}
	h := x.w.Header()
	clear(h) // a stage may have set headers of another answer
	x.ourHeaders(h)
	r.headers(h, proxyError)
	body := r.problem(title, status, x.rec.ID)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	x.w.deadline.total = refusalTime
	x.w.WriteHeader(status)
	if x.r.Method != http.MethodHead {
		_, _ = x.w.Write(body) // record notices a client that has left
	}
}

// namedLocation returns the location, or the control plane alone, that the request
// itself names. It is zero if the request names none or more than one.
func (p *Proxy) namedLocation(r *http.Request) regionmap.Location {
	target, err := p.originForm(r)
	if err != nil {
		return regionmap.Location{}
	}
	path, _, _ := strings.Cut(target, "?")
	place, _, err := p.Regions.Read(r.Host, path, r.Header[regionmap.Header])
	if err != nil {
		return regionmap.Location{}
	}
	return regionmap.Location{Plane: place.Plane, Region: place.Region}
}

// problem returns the body of the refusal of the request with this id.
func (r refusal) problem(title string, status int, id string) []byte {
	doc := problem{
		Type: "urn:osgate:" + string(r.code), Title: title, Status: status, Detail: r.detail,
		Instance: id, Message: r.detail, Rule: r.rule,
	}
	if r.violated != "" {
		doc.Violated = []string{r.violated}
	}
	body, _ := json.Marshal(doc) // plain strings cannot fail to marshal
	return body
}

// headers adds the headers that belong to the code.
func (r refusal) headers(h http.Header, proxyError string) {
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	h.Set("Proxy-Status", fmt.Sprintf(`%s; error=%s; details="%s"`, via.Name, proxyError, r.code))
	if r.retryAfter > 0 {
		h.Set("Retry-After", strconv.FormatInt(max(1, seconds(r.retryAfter)), 10))
	}
	switch r.code {
	case record.CodeNoToken:
		h.Set("WWW-Authenticate", `Bearer realm="Anypoint"`)
	case record.CodeBadToken:
		h.Set("WWW-Authenticate", `Bearer realm="Anypoint", error="invalid_token"`)
	case record.CodeDraining, record.CodeTooLarge:
		h.Set("Connection", "close")
	default:
	}
}

// unreadDetails are the details for the client if net/http gives no reason why it could
// not read a request.
var unreadDetails = map[int]string{
	http.StatusBadRequest:                  "the request is not a valid HTTP/1.0 or HTTP/1.1 request",
	http.StatusExpectationFailed:           "the only supported expectation is 100-continue",
	http.StatusNotImplemented:              "the request has an unsupported transfer coding; only chunked is supported",
	http.StatusRequestHeaderFieldsTooLarge: "the header section of the request is too large",
}

// Unread returns the complete answer to an HTTP/1 request that could not be read, and
// keeps a record of it. Such a request passes no stage, and only its address is known.
// The reason must not contain any part of the request.
func (p *Proxy) Unread(remote netip.AddrPort, status int, reason string) []byte {
	x := record.Exchange{
		ID: newID(), Start: time.Now(), Surface: record.SurfaceNone,
		Status: status, Code: record.CodeBadRequest, Cause: reason,
	}
	if remote.IsValid() {
		x.RemoteAddr = remote.Addr().Unmap().String()
		x.ClientAddr = x.RemoteAddr
	}
	detail := cmp.Or(reason, unreadDetails[status], unreadDetails[http.StatusBadRequest])
	r := refusal{code: record.CodeBadRequest, status: status, detail: detail}
	_, title, proxyError := r.answer()
	body := r.problem(title, status, x.ID)
	h := http.Header{}
	r.headers(h, proxyError)
	h.Set("X-Request-Id", x.ID)
	h.Set("Via", via.Of(1, 1))
	h.Set("Date", x.Start.UTC().Format(http.TimeFormat))
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Connection", "close")
	var answer bytes.Buffer
	fmt.Fprintf(&answer, "HTTP/1.1 %d %s\r\n", status, http.StatusText(status))
	_ = h.Write(&answer) // a buffer returns no error
	answer.WriteString("\r\n")
	answer.Write(body)
	x.ResponseBytes = int64(len(body))
	p.Keeper.Keep(&x)
	return answer.Bytes()
}
