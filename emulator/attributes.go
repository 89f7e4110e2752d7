package emulator

import (
	"net/http"
	"time"
)

// attributes are a store's attributes. The order of the fields is the order on the
// vendor's page.
type attributes struct {
	StoreID                       string `json:"storeId"`
	Encrypted                     bool   `json:"encrypted"`
	PermanentOSFlag               bool   `json:"permanentOsFlag"`
	Persistent                    bool   `json:"persistent"`
	DefaultTTLSeconds             int64  `json:"defaultTtlSeconds"`
	DefaultConfirmationTTLSeconds int64  `json:"defaultConfirmationTtlSeconds"`
	IsFixedTTL                    *bool  `json:"isFixedTtl"`
}

const (
	// maxTTLSeconds is 30 days, the longest and the default life of an object.
	maxTTLSeconds = 2_592_000
	// confirmationTTLSeconds is the default time to confirm, as on the vendor's page.
	confirmationTTLSeconds = 600
)

func defaultAttributes(storeID string) attributes {
	return attributes{
		StoreID: storeID, Encrypted: true, Persistent: true,
		DefaultTTLSeconds: maxTTLSeconds, DefaultConfirmationTTLSeconds: confirmationTTLSeconds,
	}
}

func (a attributes) ttl() time.Duration { return time.Duration(a.DefaultTTLSeconds) * time.Second }

func (a attributes) confirmationTTL() time.Duration {
	return time.Duration(a.DefaultConfirmationTTLSeconds) * time.Second
}

// fixed reports whether the TTL is static: reads do not extend it.
func (a attributes) fixed() bool { return a.IsFixedTTL != nil && *a.IsFixedTTL }

// apply reads the attributes that f has and returns how many it recognized. A TTL that
// is out of bounds becomes the default without an error (page "Object Store v2": "the
// value defaults to 2592000 seconds (30 days), without returning an error").
func (a *attributes) apply(f fields) (recognized int, err error) {
	id, maximumEntries := a.StoreID, int64(0) // the latter is accepted and has no effect
	for _, member := range []struct {
		name string
		into any
	}{
		{"storeId", &id},
		{"encrypted", &a.Encrypted},
		{"permanentOsFlag", &a.PermanentOSFlag},
		{"persistent", &a.Persistent},
		{"defaultTtlSeconds", &a.DefaultTTLSeconds},
		{"defaultConfirmationTtlSeconds", &a.DefaultConfirmationTTLSeconds},
		{"isFixedTtl", &a.IsFixedTTL},
		{"maximumEntries", &maximumEntries},
	} {
		if _, given := f[member.name]; given && member.name != "storeId" {
			recognized++
		}
		if err := f.read(member.name, member.into); err != nil {
			return 0, err
		}
	}
	if id != a.StoreID {
		return 0, problemf(http.StatusBadRequest, "storeId is not the one in the path")
	}
	a.DefaultTTLSeconds = within(a.DefaultTTLSeconds, maxTTLSeconds)
	a.DefaultConfirmationTTLSeconds = within(a.DefaultConfirmationTTLSeconds, confirmationTTLSeconds)
	return recognized, nil
}

// within returns the TTL if it is in bounds, and otherwise the second value.
func within(seconds, otherwise int64) int64 {
	if seconds < 1 || seconds > maxTTLSeconds {
		return otherwise
	}
	return seconds
}
