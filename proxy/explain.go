package proxy

import (
	"cmp"
	"fmt"
	"net/http"
	"strings"

	"osgate/auth"
	"osgate/cache"
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
	QuotaKey     string
	Cache        string // "10s", "never"
	CacheKey     string
	CachePast    string // why it would go past the cache all the same: "no-cache", "write-in-flight", …; empty where it would not
	Epoch        string // the first digits of the epoch that entries are stored under; empty where it is not known
	Generations  string // of what the answer depends on: "store 0a1b2c3d, partition -, key 4e5f6071"; "-": it has none yet
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
	x.who = auth.Identity{Principal: &auth.Principal{Plane: x.location.Plane, Client: client}}
	ref := x.op.Ref
	e := Explanation{
		Operation: x.rec.Operation, Organization: ref.Organization, Environment: ref.Environment, Store: ref.Store, Partition: ref.Partition, Key: ref.Key,
		Location: x.location.String(), Cache: "never",
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
		if quota.Algorithm == ratelimit.AlgorithmWindow {
			e.Quota = fmt.Sprintf("%d in any %s", quota.Rate, quota.Period)
		}
	}
	if ttl := p.Cache.TTL(x.op); ttl > 0 {
		e.Cache = ttl.String()
		p.explainCache(x, &e)
	}
	return e
}

// explainCache tells how the cache would look for x. Where the generations cannot be read, that is what it would go past the cache for.
func (p *Proxy) explainCache(x *exchange, e *Explanation) {
	q := cache.Question{Location: x.location.String(), Operation: x.op, Scope: p.scope(x), Header: x.r.Header}
	c, _ := p.Cache.Explain(x.r.Context(), q)
	e.CacheKey, e.CachePast, e.Epoch = c.Key, c.Past, c.Epoch
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
