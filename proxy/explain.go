package proxy

import (
	"cmp"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"osgate/auth"
	"osgate/policy"
	"osgate/ratelimit"
	"osgate/record"
)

// Explanation describes how the gateway would handle a request, as far as that can be
// known without sending it.
type Explanation struct {
	// Of a client without an Anypoint credential: "NAME by jwt of ISSUER"; empty for one
	// with an Anypoint token.
	Client       string
	Operation    string // "getKey"
	Organization string
	Environment  string
	Store        string
	Partition    string
	Key          string
	Location     string // "us/us-east-1", or a plane alone
	// URL of the upstream request, empty if the gateway answers itself; its host is that
	// of the Host header.
	Upstream string
	Quota    string // rate and burst, empty if no quota is charged
	// Number of requests permitted in the first period after a rest, empty if that is at
	// most the rate.
	QuotaWarning string
	QuotaKey     string
	Cache        string // "10s", "never"
	CacheKey     string
	CachePast    string // why it would bypass the cache: "no-cache", "write-in-flight", …; empty if it would not
	Epoch        string // the first digits of the epoch of stored entries; empty if it is unknown
	// Of the resources that the answer depends on: "store 0a1b2c3d, partition -, key
	// 4e5f6071"; "-": no generation yet.
	Generations string
	Rule        string // id of the rule that decides, empty without a policy
	Facts       string // facts that the rule may read and only a real request has: "environmentType, headers"
	Refused     string // why it would be refused, empty if it would not be
	Code        record.Code
	Status      int
}

// Explain returns how r would be handled if client sent it. The client has an Anypoint
// token if its Method is empty; its Name is then a client ID, or "user:<id>". An empty
// Issuer of another method is unknown. Explain forwards and charges nothing;
// generations are read from where replicas share them.
func (p *Proxy) Explain(r *http.Request, client auth.Caller) Explanation {
	x := &exchange{r: r}
	if err := p.locate(x); err != nil {
		refused := refusalOf(err)
		return Explanation{Refused: refused.detail, Code: refused.code, Status: answers[refused.code].status}
	}
	x.identity = auth.Identity{Principal: principalOf(client, x.location.Plane, x.op.Ref.Organization)}
	p.recordIdentity(x)
	ref := x.op.Ref
	e := Explanation{
		Client: x.namedClient(), Operation: x.rec.Operation, Organization: ref.Organization,
		Environment: ref.Environment, Store: ref.Store, Partition: ref.Partition, Key: ref.Key,
		Location: x.location.String(), Cache: "never",
	}
	if x.call != 0 && x.identity.Method == auth.ByJWT {
		e.Refused, e.Code, e.Status = errForeignCall.detail, errForeignCall.code, answers[errForeignCall.code].status
		return e
	}
	if d, ruled := p.explainPolicy(x, &e); ruled && !d.Allowed {
		e.Refused, e.Code, e.Status = d.Reason, record.CodeDenied, http.StatusForbidden
		return e
	}
	switch {
	case x.undecided():
		e.Location = x.location.Plane + ", in the region where the store is found"
	case x.location.Region == "":
		e.Location = x.location.Plane
	}
	if !x.op.Stats() && !x.undecided() {
		e.Upstream = p.upstreamURL(x)
	}
	if !x.objectStore() {
		return e
	}
	p.explainQuota(x, &e)
	if ttl := p.Cache.TTL(x.op); ttl > 0 {
		e.Cache = ttl.String()
		p.explainCache(x, &e)
	}
	return e
}

// ExplainRefusal returns how the gateway refuses a credential whose identification
// returns err. Unlike the answer to a client, it contains the reason.
func ExplainRefusal(err error) Explanation {
	refused := refusalOf(brokerRefusal(err))
	e := Explanation{Refused: refused.detail, Code: refused.code, Status: answers[refused.code].status}
	if refused.cause != nil {
		e.Refused = refused.cause.Error()
	}
	return e
}

// principalOf returns the principal of client, a member of organization.
func principalOf(client auth.Caller, plane, organization string) *auth.Principal {
	p := &auth.Principal{
		Plane: plane, Client: client.Name, Organizations: []string{organization},
		Method: client.Method, Issuer: client.Issuer,
	}
	if user, ok := strings.CutPrefix(client.Name, "user:"); ok && !p.Brokered() {
		p.Client, p.User = "", user
	}
	return p
}

// namedClient returns x's client in the form of [Explanation].Client.
func (x *exchange) namedClient() string {
	if !x.brokered() {
		return ""
	}
	text := x.identity.Name() + " by " + string(x.identity.Method)
	if x.identity.Issuer != "" {
		text += " of " + x.identity.Issuer
	}
	return text
}

// issuerUnknown reports whether x's client has an issuer that was not given.
func (x *exchange) issuerUnknown() bool { return x.brokered() && x.identity.Issuer == "" }

// needsIssuer is the text in place of a key that contains the client's issuer.
const needsIssuer = "not known without the client's issuer"

// explainQuota adds the quota of x's client and the key under which it is counted.
func (p *Proxy) explainQuota(x *exchange, e *Explanation) {
	quota := p.Quota(x.rec.Principal)
	if quota.Rate <= 0 {
		return
	}
	e.Quota, e.QuotaKey = fmt.Sprintf("%d in %s, burst %d", quota.Rate, quota.Period, quota.Burst), p.clientKey(x)
	if x.issuerUnknown() {
		e.QuotaKey = needsIssuer
	}
	switch {
	case quota.Algorithm == ratelimit.AlgorithmWindow:
		e.Quota = fmt.Sprintf("%d in any %s", quota.Rate, quota.Period)
	case quota.Burst > 1:
		e.QuotaWarning = fmt.Sprintf("up to %d in the first %s after a rest; where upstream's limit is flat, choose OSGATE_RATE_ALGORITHM=window",
			quota.Burst+quota.Rate-1, quota.Period)
	}
}

// explainPolicy returns the policy's decision about x and whether there is a policy. It
// uses neither the body nor the client address, and does not call the control plane.
func (p *Proxy) explainPolicy(x *exchange, e *Explanation) (d policy.Decision, ruled bool) {
	rules := p.Policy.Rules()
	if rules == nil || x.call != 0 {
		return d, false
	}
	needs := rules.NeedsFor(x.op, x.identity.Principal)
	facts := policy.Request{
		Principal: x.identity.Principal, Operation: x.op, Plane: x.location.Plane, Region: x.location.Region,
		ValueBytes: x.r.ContentLength, TTLSeconds: -1, Headers: headersOf(x, needs.Headers),
		Time: time.Now(), SourceIP: netip.IPv4Unspecified(),
	}
	d = p.decide(x, rules.Decide, facts)
	e.Rule = d.Rule
	e.Facts = strings.Join(x.missing(needs), ", ")
	return d, true
}

// missing returns those facts of needs that only a real request has. A length that the
// request declares is known.
func (x *exchange) missing(needs policy.Needs) (facts []string) {
	if needs.Region && x.undecided() {
		facts = append(facts, "region")
	}
	if needs.EnvironmentType {
		facts = append(facts, "environmentType")
	}
	if needs.Value {
		facts = append(facts, "valueType", "ttlSeconds")
	}
	if needs.ValueBytes && (x.r.ContentLength < 0 || x.r.Header.Get("Content-Length") == "") {
		facts = append(facts, "valueBytes")
	}
	if needs.SourceIP {
		facts = append(facts, "sourceIP")
	}
	if needs.Issuer && x.issuerUnknown() {
		facts = append(facts, "issuer")
	}
	return facts
}

// explainCache adds how the cache would look up x. If the generations cannot be read,
// CachePast gives that as the reason.
func (p *Proxy) explainCache(x *exchange, e *Explanation) {
	p.setQuestion(x)
	c, _ := p.Cache.Explain(x.r.Context(), x.question)
	e.CacheKey, e.CachePast, e.Epoch = c.Key, c.BypassReason, c.Epoch
	if x.issuerUnknown() && !p.SharedScope {
		e.CacheKey = needsIssuer
	}
	if e.Epoch == "" {
		return
	}
	var all []string
	for _, d := range c.Depends {
		all = append(all, d.Name+" "+cmp.Or(d.Generation, "-"))
	}
	e.Generations = strings.Join(all, ", ")
}

// upstreamURL returns the URL that rewrite would send to.
func (p *Proxy) upstreamURL(x *exchange) string {
	u := "https://" + p.host(x) + x.upstreamPath()
	if x.query != "" {
		u += "?" + x.query
	}
	return u
}
