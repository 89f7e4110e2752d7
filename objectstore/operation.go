package objectstore

// Operation is one request to Object Store: its kind, the object that it names and its
// query. It is a plain value, comparable and safe to copy.
type Operation struct {
	Kind Kind
	Ref  Ref

	// Confirmable is whether the operation is pending until it is acknowledged, or
	// rolled back automatically. It is true if any parameter whose name resembles
	// "confirmable" has a value other than "false": an operation that may have side
	// effects is treated as if it had.
	Confirmable bool

	path       string // raw path for upstream, from /api/v1 on
	rawQuery   string // raw query for upstream
	knownQuery bool   // all parameters of the query are known, each occurs once at most
	tmpl       int    // index into templates
}

// Method returns the HTTP method of the operation.
func (o Operation) Method() string { return table[o.Kind].method }

// Path returns the path of the upstream request: the bytes received from "/api/v1" on,
// a doubled "/api/v1" written once.
func (o Operation) Path() string { return o.path }

// RawQuery returns the query as received, without "?".
func (o Operation) RawQuery() string { return o.rawQuery }

// Route returns the path with names in the place of values, for logs, traces and
// metrics: "/api/v1/organizations/{organizationId}/regions".
func (o Operation) Route() string { return templates[o.tmpl].route }

// CacheKind returns the class of the answer. It is CacheNone if the answer must not be
// cached: the operation is confirmable, or the query contains an unknown or a repeated
// parameter.
func (o Operation) CacheKind() CacheKind {
	if o.Confirmable || !o.knownQuery {
		return CacheNone
	}
	return table[o.Kind].cache
}

// DependsOn returns the resources whose change makes the answer outdated. It is empty
// if the answer is not cached.
func (o Operation) DependsOn() Resources {
	if o.CacheKind() == CacheNone {
		return 0
	}
	return table[o.Kind].depends
}

// Touches returns the resources that the operation may change, now or, if it is
// confirmable, when it is rolled back automatically. It is empty for a read without
// side effects.
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

// Writes reports whether the operation may change a resource: all but reads that are
// not confirmable.
func (o Operation) Writes() bool { return o.Touches() != 0 }

// Stats reports whether the operation is one of the seven of the Stats API.
func (o Operation) Stats() bool { return o.Kind == ReadStats }

// storeSegments is the number of slashes in the path of a store:
// "/api/v1/organizations/{}/environments/{}/stores/{}".
const storeSegments = 8

// StorePath returns the path of the store that o names, in the client's own bytes. It
// returns "" if o names no store, and for statistics of a store.
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
