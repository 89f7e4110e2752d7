package ratelimit

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
)

// keyBytes is how much of the hash a key keeps: 128 bits, so that no two of 2^50
// clients share a quota but with a chance of 2^-28.
const keyBytes = 16

// Key returns the key of a principal in a control plane: a hash of the two, so that
// no client ID can be read in Redis and none can be chosen to collide with another
// (each part is preceded by its length, there is no separator to forge).
func Key(plane, principal string) string { return hashed(plane, principal) }

// What a budget may go by, by its names in OSGATE_BUDGET_BY.
const (
	// BudgetByEgress is one budget for all that leaves these gateways.
	BudgetByEgress = "egress"
	// BudgetByOrganization is one for each organization of a plane.
	BudgetByOrganization = "org"
	// BudgetByStore is one for each store of an environment in a region.
	BudgetByStore = "store"
)

// BudgetKey returns the key of the upstream budget that a request to a place spends,
// hashed as [Key] hashes, and never one of its keys. by says which of the other parts
// matter: none for [BudgetByEgress], plane and organization for
// [BudgetByOrganization], all for everything else.
//
//nolint:revive // a place has that many parts, and each is looked at
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

// hashed returns a hash of parts that differs unless all of them and their number are
// the same.
func hashed(parts ...string) string {
	var b []byte
	for _, part := range parts {
		b = binary.AppendUvarint(b, uint64(len(part)))
		b = append(b, part...)
	}
	sum := sha256.Sum256(b)
	return base64.RawURLEncoding.EncodeToString(sum[:keyBytes])
}
