package cache

import (
	"strings"
	"time"

	"osgate/objectstore"
)

// Rule bounds the freshness of answers from some stores. The zero value matches all
// stores and turns the cache off for them.
type Rule struct {
	Organization string // "": all
	Environment  string // "": all of the organization
	Store        string // "": all of the environment
	Prefix       bool   // Store is the beginning of the stores' names

	// TTL bounds the freshness of each kind of answer; it never raises it. 0: nothing
	// is served or stored.
	TTL time.Duration
}

// SetRules replaces the rules. If several rules match, the most specific one counts: a
// store before the beginning of its name, a longer beginning before a shorter one,
// these before an environment, and that before an organization. Entries that are
// already stored are bounded too. It is safe for concurrent use; rules must not be
// changed afterwards.
func (c *Cache) SetRules(rules []Rule) { c.rules.Store(&rules) }

// freshness returns how long an answer to q is fresh, before upstream's header is
// applied: the time that is configured for its kind, or less by a rule. If it is 0,
// detail is the reason. [Fill] limits it by the TTL of the store too.
func (c *Cache) freshness(q *Question) (limit time.Duration, detail string) {
	limit, off := c.ruled(c.kindTTL(&q.Operation), &q.Operation)
	if off {
		return 0, detailRule
	}
	return limit, detailDisabled
}

// ruled returns the freshness of o's answer, at most limit, and whether a rule turned
// the cache off.
func (c *Cache) ruled(limit time.Duration, o *objectstore.Operation) (ttl time.Duration, off bool) {
	rules := c.rules.Load()
	if rules == nil {
		return limit, false
	}
	var closest *Rule
	for i := range *rules {
		if r := &(*rules)[i]; r.matches(&o.Ref) && (closest == nil || r.closer(closest)) {
			closest = r
		}
	}
	if closest == nil {
		return limit, false
	}
	return min(limit, closest.TTL), closest.TTL == 0
}

// kindTTL returns the freshness that is configured for the kind of o's answer.
func (c *Cache) kindTTL(o *objectstore.Operation) time.Duration {
	switch o.CacheKind() {
	case objectstore.CacheKey:
		return c.options.KeyTTL
	case objectstore.CacheStores:
		return c.options.StoresTTL
	case objectstore.CacheKeys:
		return c.options.KeysTTL
	default:
		return 0
	}
}

func (r *Rule) matches(ref *objectstore.Ref) bool {
	switch {
	case r.Organization != "" && r.Organization != ref.Organization,
		r.Environment != "" && r.Environment != ref.Environment:
		return false
	case r.Prefix:
		return ref.Store != "" && strings.HasPrefix(ref.Store, r.Store)
	}
	return r.Store == "" || r.Store == ref.Store
}

// closer reports whether r is more specific than other, which matches too.
func (r *Rule) closer(other *Rule) bool { return r.closeness() > other.closeness() }

// closeness is larger for a rule that matches fewer stores.
func (r *Rule) closeness() int {
	const store, environment, organization = 1 << 30, 1 << 20, 1 << 19
	switch {
	case r.Store != "" && !r.Prefix:
		return store
	case r.Prefix:
		return environment + 1 + len(r.Store)
	case r.Environment != "":
		return environment
	case r.Organization != "":
		return organization
	}
	return 0
}
