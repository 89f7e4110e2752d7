package proxy

import (
	"cmp"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"osgate/auth"
	"osgate/cache"
	"osgate/policy"
	"osgate/ratelimit"
	"osgate/record"
)

// Explanation describes how the gateway would handle a request, as far as that can be
// known without sending it.
type Explanation struct {
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

// Explain returns how r would be handled if client (a client ID, or "user:<id>") sent
// it. It forwards and charges nothing; generations are read from where replicas share
// them.
func (p *Proxy) Explain(r *http.Request, client string) Explanation {
	x := &exchange{r: r}
	if err := p.locate(x); err != nil {
		refused := refusalOf(err)
		return Explanation{Refused: refused.detail, Code: refused.code, Status: answers[refused.code].status}
	}
	x.identity = auth.Identity{Principal: principalNamed(client, x.location.Plane, x.op.Ref.Organization)}
	ref := x.op.Ref
	e := Explanation{
		Operation: x.rec.Operation, Organization: ref.Organization, Environment: ref.Environment,
		Store: ref.Store, Partition: ref.Partition, Key: ref.Key, Location: x.location.String(), Cache: "never",
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
	if quota := p.Quota(x.identity.Name()); quota.Rate > 0 {
		e.Quota, e.QuotaKey = fmt.Sprintf("%d in %s, burst %d", quota.Rate, quota.Period, quota.Burst),
			ratelimit.Key(x.location.Plane, x.identity.Name())
		switch {
		case quota.Algorithm == ratelimit.AlgorithmWindow:
			e.Quota = fmt.Sprintf("%d in any %s", quota.Rate, quota.Period)
		case quota.Burst > 1:
			e.QuotaWarning = fmt.Sprintf("up to %d in the first %s after a rest; where upstream's limit is flat, choose OSGATE_RATE_ALGORITHM=window",
				quota.Burst+quota.Rate-1, quota.Period)
		}
	}
	if ttl := p.Cache.TTL(x.op); ttl > 0 {
		e.Cache = ttl.String()
		p.explainCache(x, &e)
	}
	return e
}

// principalNamed returns the principal with that name, a member of organization.
func principalNamed(name, plane, organization string) *auth.Principal {
	p := &auth.Principal{Plane: plane, Client: name, Organizations: []string{organization}}
	if user, ok := strings.CutPrefix(name, "user:"); ok {
		p.Client, p.User = "", user
	}
	return p
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
	return facts
}

// explainCache adds how the cache would look up x. If the generations cannot be read,
// CachePast gives that as the reason.
func (p *Proxy) explainCache(x *exchange, e *Explanation) {
	q := cache.Question{Location: x.location.String(), Operation: x.op, Scope: p.scope(x), Header: x.r.Header}
	c, _ := p.Cache.Explain(x.r.Context(), q)
	e.CacheKey, e.CachePast, e.Epoch = c.Key, c.BypassReason, c.Epoch
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
