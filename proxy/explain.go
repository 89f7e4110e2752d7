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
)

// Explanation is what the gateway would do with a request, as far as that can be known without sending anything.
type Explanation struct {
	Operation    string // "getKey"
	Organization string
	Environment  string
	Store        string
	Partition    string
	Key          string
	Location     string // "us/us-east-1", or a plane alone
	Upstream     string // URL that would be asked, empty where we answer ourselves; the host is that of the Host header
	Quota        string // rate and burst, empty where nothing is charged
	QuotaWarning string // how many may come in the first period after a rest, empty where that is no more than the rate
	QuotaKey     string
	Cache        string // "10s", "never"
	CacheKey     string
	CachePast    string // why it would go past the cache all the same: "no-cache", "write-in-flight", …; empty where it would not
	Epoch        string // the first digits of the epoch that entries are stored under; empty where it is not known
	Generations  string // of what the answer depends on: "store 0a1b2c3d, partition -, key 4e5f6071"; "-": it has none yet
	Rule         string // id of the policy's rule that decides, empty without a policy
	Facts        string // what the rule may depend on that only a real request tells: "environmentType, headers"
	Refused      string // why it would be refused, empty where it would not
	Code         string
	Status       int
}

// Explain tells what would become of r if client (a client ID, or "user:<id>") sent it. It sends and charges nothing; the generations are read where
// replicas share them.
func (p *Proxy) Explain(r *http.Request, client string) Explanation {
	x := &exchange{r: r}
	if err := p.locate(x); err != nil {
		refused := refusalOf(err)
		return Explanation{Refused: refused.detail, Code: string(refused.code), Status: answers[refused.code].status}
	}
	x.who = auth.Identity{Principal: named(client, x.location.Plane, x.op.Ref.Organization)}
	ref := x.op.Ref
	e := Explanation{
		Operation: x.rec.Operation, Organization: ref.Organization, Environment: ref.Environment, Store: ref.Store, Partition: ref.Partition, Key: ref.Key,
		Location: x.location.String(), Cache: "never",
	}
	if d, ruled := p.explainPolicy(x, &e); ruled && !d.Allowed {
		e.Refused, e.Code, e.Status = d.Reason, string(codeDenied), http.StatusForbidden
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
	if quota := p.Quota(x.who.Name()); quota.Rate > 0 {
		e.Quota, e.QuotaKey = fmt.Sprintf("%d in %s, burst %d", quota.Rate, quota.Period, quota.Burst), ratelimit.Key(x.location.Plane, x.who.Name())
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

// named is the principal of that name, a member of organization.
func named(name, plane, organization string) *auth.Principal {
	p := &auth.Principal{Plane: plane, Client: name, Organizations: []string{organization}}
	if user, ok := strings.CutPrefix(name, "user:"); ok {
		p.Client, p.User = "", user
	}
	return p
}

// explainPolicy tells which rule decides about x as far as it is known: without its body and its address, and without asking the control plane.
func (p *Proxy) explainPolicy(x *exchange, e *Explanation) (d policy.Decision, ruled bool) {
	rules := p.Policy.Rules()
	if rules == nil || x.call != 0 {
		return d, false
	}
	needs := rules.NeedsFor(x.op, x.who.Principal)
	facts := policy.Request{
		Principal: x.who.Principal, Operation: x.op, Plane: x.location.Plane, Region: x.location.Region, ValueBytes: x.r.ContentLength, TTLSeconds: -1,
		Headers: headersOf(x, needs.Headers), Time: time.Now(), SourceIP: netip.IPv4Unspecified(),
	}
	d = p.decide(x, rules.Decide, facts)
	e.Rule = d.Rule
	e.Facts = strings.Join(x.missing(needs), ", ")
	return d, true
}

// missing are the facts of needs that only a real request tells. A length that the request names is no such fact.
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

// explainCache tells how the cache would look for x. Where the generations cannot be read, that is what it would go past the cache for.
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

// upstreamURL prints what rewrite sends.
func (p *Proxy) upstreamURL(x *exchange) string {
	u := "https://" + p.host(x) + x.upstreamPath()
	if x.query != "" {
		u += "?" + x.query
	}
	return u
}
