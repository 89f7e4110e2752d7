package ratelimit

import (
	"encoding/base64"

	"osgate/internal/lengthprefix"
)

// keyBytes is the number of bytes of the hash in a key: 128 bits, so that among 2^50
// clients two share a quota with a probability of 2^-28.
const keyBytes = 16

// Key returns the key of a principal in a control plane: a hash of the two. So no
// client ID can be read in Redis, and none can be chosen to collide with another (each
// part is preceded by its length, so there is no separator to forge).
func Key(plane, principal string) string { return hashed(plane, principal) }

// The scopes of a budget, by their names in OSGATE_BUDGET_BY.
const (
	// BudgetByEgress is one budget for all requests of these gateways.
	BudgetByEgress = "egress"
	// BudgetByOrganization is one for each organization of a plane.
	BudgetByOrganization = "org"
	// BudgetByStore is one for each store of an environment in a region.
	BudgetByStore = "store"
)

// BudgetKey returns the key of the upstream budget for a request to a place. It is
// hashed as by [Key], and never equals one of its keys. by selects the other parts that
// matter: none for [BudgetByEgress], plane and organization for [BudgetByOrganization],
// all for any other value.
//
//nolint:revive // a place has that many parts, and each is used
func BudgetKey(by, plane, organization, environment, region, store string) string {
	switch by {
	case BudgetByEgress:
		return hashed("budget", by, "")
	case BudgetByOrganization:
		return hashed("budget", by, plane, organization)
	default:
		return hashed("budget", by, plane, organization, environment, region, store)
	}
}

// hashed returns a hash of parts. Two results are equal only if the parts and their
// number are.
func hashed(parts ...string) string {
	sum := lengthprefix.Sum(parts...)
	return base64.RawURLEncoding.EncodeToString(sum[:keyBytes])
}
