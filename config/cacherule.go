package config

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// CacheRule bounds the freshness of entries read from an organization, one of its
// environments, or one or more stores of that environment. Environment and Store are ""
// if the rule is for all of them; the three names are decoded. If Prefix is set, Store
// is the beginning of the store names that the rule is for.
type CacheRule struct {
	Organization, Environment, Store string
	Prefix                           bool
	TTL                              time.Duration // 0: nothing is cached
}

// CacheRules are the rules in the order given, no two for the same place; nil if there
// are none. The longest match wins.
type CacheRules []CacheRule

// parseCacheRules parses place=freshness pairs. The last = of a pair separates the two,
// so that a place may contain others.
func parseCacheRules(text string) (CacheRules, error) {
	items, err := list(text)
	if err != nil {
		return nil, err
	}
	var rules CacheRules
	for _, item := range items {
		rule, err := parseCacheRule(item)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(rules, rule.samePlace) {
			return nil, fmt.Errorf("%s repeats a place; want one rule for each place", quote(item))
		}
		rules = append(rules, rule)
	}
	return rules, nil
}

// parseCacheRule parses one place=freshness pair.
func parseCacheRule(item string) (r CacheRule, err error) {
	at := strings.LastIndex(item, "=")
	if at < 0 {
		return r, fmt.Errorf("%s has no =; want org/env/store=off or org/env/store=2s", quote(item))
	}
	if r.TTL, err = parseFreshness(item, strings.TrimSpace(item[at+1:])); err != nil {
		return r, err
	}
	segments := strings.Split(strings.TrimSpace(item[:at]), "/")
	if len(segments) > 3 {
		return r, fmt.Errorf("%s has %d segments; want org, org/env or org/env/store (write a / inside a name as %%2F)",
			quote(item), len(segments))
	}
	if len(segments) == 3 {
		segments[2], r.Prefix = strings.CutSuffix(segments[2], "*")
	}
	var place [3]string
	for i, segment := range segments {
		switch {
		case strings.Contains(segment, "*"):
			return r, fmt.Errorf("%s has a * that is not at the end of a store's name; want org/env/APP_billing*=off "+
				"(write a * inside a name as %%2A)", quote(item))
		case i == 2 && segment == "" && r.Prefix: // all stores
		default:
			if place[i], err = decodeSegment(segment); err != nil {
				return r, fmt.Errorf("%s holds %w", quote(item), err)
			}
		}
	}
	r.Organization, r.Environment, r.Store = place[0], place[1], place[2]
	return r, nil
}

// parseFreshness parses the freshness of a rule.
func parseFreshness(item, text string) (time.Duration, error) {
	if text == "off" {
		return 0, nil
	}
	ttl, err := time.ParseDuration(text)
	if err != nil || ttl < 0 || ttl > time.Hour {
		return 0, fmt.Errorf("%s has an invalid freshness; want off or a duration from 0s to 1h, such as %s",
			quote(item), "org/env/store=2s")
	}
	return ttl, nil
}

// samePlace reports whether r and other are for the same organization, environment or
// stores.
func (r CacheRule) samePlace(other CacheRule) bool {
	other.TTL = r.TTL
	return r == other
}
