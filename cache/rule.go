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
