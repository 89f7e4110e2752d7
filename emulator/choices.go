package emulator

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Choice is a property of the service that is not known outside the vendor, and the
// values that the emulator offers for it.
type Choice struct {
	Name   string
	Values []string // the default first
	About  string
}

// choice is the index of a row of Choices.
type choice int

const (
	postExisting choice = iota
	missingStore
	putAnswer
	writeBody
	overPageSize
	listOrder
	etags
	confirmationID
	retryAfter
	errorBody
	oversizeStatus
	keyLimit
	rateCounts
	foreignOrganization
	regionURL
	statsPlanes
	loginClient
	introspectForeign
	introspectTime
	accountsRateBy
	emptySegments
	ttlNames
	encryptedForm
	valueKeyID
)

// Choices lists every choice with its values, the default first. The table in the
// package comment contains the known facts about each, and their sources.
func Choices() []Choice {
	return []Choice{
		postExisting:        {"post-existing", []string{"upsert", "409"}, "POST of a key that exists"},
		missingStore:        {"missing-store", []string{"404", "create"}, "a key written to a store that does not exist"},
		putAnswer:           {"put-answer", []string{"created", "200", "204"}, "status of PUT key; created: 201 for a new key, otherwise 200"},
		writeBody:           {"write-body", []string{"empty", "object"}, "body of the answer to a written key or store"},
		overPageSize:        {"page-size", []string{"clamp", "400"}, "a pageSize above 25"},
		listOrder:           {"list-order", []string{"insertion", "name"}, "order of lists without beginsWith"},
		etags:               {"etag", []string{"off", "on"}, "ETag, If-Match and If-None-Match on keys"},
		confirmationID:      {"confirmation-id", []string{"header", "body"}, "where a confirmation id is returned: X-Confirmation-Id or confirmationId"},
		retryAfter:          {"retry-after", []string{"off", "on"}, "Retry-After on an Object Store 429"},
		errorBody:           {"error-body", []string{"status", "message", "named", "empty"}, "body of an Object Store error other than 429"},
		oversizeStatus:      {"oversize", []string{"413", "400"}, "a value above 10 MB or metadata above 4 KB"},
		keyLimit:            {"key-limit", []string{"1024", "256"}, "longest key in bytes"},
		rateCounts:          {"rate-counts", []string{"all", "2xx"}, "requests that use the rate: all admitted ones, or only successful ones"},
		foreignOrganization: {"foreign-organization", []string{"403", "404", "served"}, "stores of an organization that the token does not belong to"},
		regionURL:           {"region-url", []string{"documented", "table"}, "url of a region: the page's odd form (http, dot), or the table's host"},
		statsPlanes:         {"stats-planes", []string{"all", "documented"}, "planes with a Stats API; documented: us and eu"},
		loginClient:         {"login-client", []string{"absent", "present"}, "client in the me of a login token"},
		introspectForeign:   {"introspect-foreign", []string{"allow", "deny"}, "introspection of another organization's tokens"},
		introspectTime:      {"introspect-time", []string{"seconds", "milliseconds"}, "iat and exp of introspection v2"},
		accountsRateBy:      {"accounts-rate-by", []string{"client", "ip"}, "subject of Access Management's limit: client or user, or address"},
		emptySegments:       {"empty-segments", []string{"accounts", "all", "none"}, "paths that may begin with empty segments: a base URL with a slash"},
		ttlNames:            {"ttl-names", []string{"seconds", "milliseconds"}, "a store's TTLs: defaultTtlSeconds (pages) or defaultTtlMillis (OpenAPI)"},
		encryptedForm:       {"encrypted", []string{"boolean", "string"}, "encrypted of a store: true (pages, users) or \"true\" (OpenAPI)"},
		valueKeyID:          {"value-key-id", []string{"present", "absent"}, "keyId in the values of a partition; the OpenAPI's example has none"},
	}
}

// chosen is the current value of each row of Choices.
type chosen []string

// choose returns the defaults, replaced by the picks, or an error that names every
// wrong pick.
func choose(picks map[string]string) (chosen, error) {
	var c chosen
	var problems []error
	known := map[string]bool{}
	for _, row := range Choices() {
		known[row.Name] = true
		value, picked := picks[row.Name]
		if !picked {
			value = row.Values[0]
		}
		if !slices.Contains(row.Values, value) {
			problems = append(problems,
				fmt.Errorf("choice %s=%s: one of %s", row.Name, value, strings.Join(row.Values, ", ")))
		}
		c = append(c, value)
	}
	for name := range picks {
		if !known[name] {
			problems = append(problems, fmt.Errorf("choice %q does not exist", name))
		}
	}
	return c, errors.Join(problems...)
}

// is reports whether value is chosen for a choice.
func (c chosen) is(what choice, value string) bool { return c[what] == value }
