// Package objectstore is the vocabulary of Anypoint Object Store v2: what a request asks (an [Operation] of a [Kind]) of which
// thing (a [Ref]), read from a method, a raw path and a raw query by [Parse].
//
// The idea a reader needs: an operation, not an HTTP method, decides what may be cached, retried or limited. GET of a key with
// confirmable=true has side effects, POST of a key may be a number operation that is not idempotent, and PATCH of a confirmation
// extends it. So these are properties of Operation, and no other package looks at the method again.
//
// Paths are split before they are decoded and every segment is decoded exactly once, so that for any bytes the Ref found here is
// the one that Object Store finds. What cannot be read in one way only is refused ([PathError], [QueryError]); what is not one of
// the known operations is [ErrNotObjectStore]: the surface is closed.
//
// Sources: the vendor's pages "Object Store v2 REST APIs" and "Object Store v2 Stats API", and its OpenAPI description
// object-store-v2 1.0.8 (19 operations). Two deletes (partitions of a store, keys of a partition) are named as billable calls on the
// vendor's usage page without a path; theirs follow from the names.
//
// The package imports nothing of ours, holds no state and is safe for concurrent use.
package objectstore
