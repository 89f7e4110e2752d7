package objectstore

import (
	"net/http"
	"slices"
	"strings"
)

// Operation is one request to Object Store, read whole: what it asks, of what, and with which query. It is a plain value, comparable and
// safe to copy.
type Operation struct {
	Kind Kind
	Ref  Ref

	// Confirmable says that the operation is pending until it is acknowledged, or rolled back by itself. True whenever a parameter
	// that looks like "confirmable" says anything but "false": in doubt an operation has side effects.
	Confirmable bool

	path     string // raw path for upstream, from /api/v1 on
	rawQuery string // raw query for upstream
	ordinary bool   // the query holds known parameters, each once at most
	tmpl     int    // index into templates
}

// Method returns the HTTP method of the operation.
func (o Operation) Method() string { return table[o.Kind].method }

// Path returns the path to ask upstream for: the bytes received from "/api/v1" on, a doubled "/api/v1" written once.
func (o Operation) Path() string { return o.path }

// RawQuery returns the query as received, without "?".
func (o Operation) RawQuery() string { return o.rawQuery }

// Canonical returns the canonical escaped path: equal for all spellings of one Ref, and again an input of [Parse].
func (o Operation) Canonical() string { return o.Ref.path(templates[o.tmpl]) }

// Route returns the path with names in the place of values, for logs, traces and metrics:
// "/api/v1/organizations/{organizationId}/regions".
func (o Operation) Route() string { return templates[o.tmpl].route }

// CacheKind returns the freshness lifetime that the answer falls under, CacheNone where it must not be cached: anything confirmable and
// anything with a query that holds an unknown or a doubled parameter.
func (o Operation) CacheKind() CacheKind {
	if o.Confirmable || !o.ordinary {
		return CacheNone
	}
	return table[o.Kind].cache
}

// DependsOn returns the resources whose change makes the answer untrue. Empty where nothing is cached.
func (o Operation) DependsOn() Resources {
	if o.CacheKind() == CacheNone {
		return 0
	}
	return table[o.Kind].depends
}

// Touches returns the resources that the operation may change, now or, when it is confirmable, when it rolls back by itself. Empty for a
// read without side effects.
func (o Operation) Touches() Resources {
	touched := table[o.Kind].touches
	if !o.Confirmable {
		return touched
	}
	switch {
	case o.Ref.Key != "":
		return touched | Key | KeyList | PartitionList
	case o.Ref.Partition != "":
		return touched | Partition | KeyList | PartitionList
	case o.Ref.Store != "":
		return touched | Store | StoreList
	}
	return touched
}

// Writes reports whether the operation may change anything: all but reads that are not confirmable.
func (o Operation) Writes() bool { return o.Touches() != 0 }

// Idempotent reports whether doing the operation twice is the same as doing it once (RFC 9110 section 9.2.2), which Object Store's POST, PATCH
// and everything confirmable are not.
func (o Operation) Idempotent() bool {
	switch o.Method() {
	case http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete:
		return !o.Confirmable
	}
	return false
}

// Retryable reports whether the operation may be sent again although upstream may have received it: only reads without side effects.
func (o Operation) Retryable() bool { return o.Idempotent() && !o.Writes() }

// Stats reports whether the operation is one of the seven of the Stats API.
func (o Operation) Stats() bool { return o.Kind == ReadStats }

// confirmable is the parameter that makes an operation wait for its acknowledgment.
const confirmable = "confirmable"

// query reads the raw query into o. Separators other than "&" are taken into account for what is dangerous (confirmable) and make the
// query extraordinary, since parsers differ on ";" (golang.org/issue/25192).
func (o *Operation) query(raw string) error {
	if at := strings.IndexFunc(raw, forbiddenRaw); at >= 0 {
		return &QueryError{Reason: "holds a space, a control byte or '#'; percent-encode it"}
	}
	o.rawQuery = raw
	o.ordinary = !strings.Contains(raw, ";")
	known := strings.Fields(table[o.Kind].params)
	for pair := range strings.FieldsFuncSeq(raw, func(r rune) bool { return r == '&' || r == ';' }) {
		rawName, rawValue, _ := strings.Cut(pair, "=")
		name, err := unescapeQuery(rawName)
		if err != nil {
			return err
		}
		value, err := unescapeQuery(rawValue)
		if err != nil {
			return err
		}
		if folded := strings.ToLower(strings.TrimSpace(name)); strings.HasPrefix(folded, confirmable) {
			o.Confirmable = o.Confirmable || folded != confirmable || !strings.EqualFold(value, "false")
		}
		at := slices.Index(known, name)
		if at < 0 {
			o.ordinary = false
			continue
		}
		known = slices.Delete(known, at, at+1)
	}
	return nil
}

// storeSegments is how many slashes the path of a store has: "/api/v1/organizations/{}/environments/{}/stores/{}".
const storeSegments = 8

// StorePath returns the path of the store that o is about, in the client's own bytes; "" where o is about none,
// statistics of a store included.
func (o Operation) StorePath() string {
	if o.Ref.Store == "" || o.Stats() {
		return ""
	}
	slashes := 0
	for i := range len(o.path) {
		if o.path[i] != '/' {
			continue
		}
		if slashes++; slashes > storeSegments {
			return o.path[:i]
		}
	}
	return o.path
}
