// Package objectstore is the vocabulary of Anypoint Object Store v2. [Parse] reads a
// method, a raw path and a raw query, and returns the [Operation] of the request: its
// [Kind] and the object that it names (a [Ref]).
//
// The idea a reader needs: an operation, not an HTTP method, decides whether a request
// may be cached, retried or limited. GET of a key with confirmable=true has side
// effects, POST of a key may be a number operation that is not idempotent, and PATCH of
// a confirmation extends it. So these are properties of Operation, and no other package
// uses the method.
//
// Paths are split before they are decoded and every segment is decoded exactly once, so
// that for any bytes the Ref found here is the one that Object Store finds. A path or
// query that two parsers could read differently is refused ([PathError], [QueryError]).
// A request that is none of the known operations is [ErrNotObjectStore]: the list of
// operations is closed.
//
// Sources: the vendor's pages "Object Store v2 REST APIs" and "Object Store v2 Stats
// API", and its OpenAPI description object-store-v2 1.0.8 (19 operations). The vendor's
// usage page names two deletes (partitions of a store, keys of a partition) as billable
// calls without their paths; the paths here follow from their names.
//
// The package imports no other package of osgate, has no state and is safe for
// concurrent use.
package objectstore
