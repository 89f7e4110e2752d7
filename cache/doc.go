// Package cache stores answers of Object Store. It decides how long an answer is fresh,
// which requests it may be served to, and whether a write has made it invalid since.
//
// A write does not search for entries to delete. Every entry carries a
// [coherence.Stamp]: the random generations of all resources that it was read from,
// taken before the fetch. A write gives the resources that it touches new generations,
// and holds a lease on them until its outcome is certain ([Cache.Mark]). An entry is
// served only while its stamp equals the stamp that a read gets now and no lease is
// alive on its resources ([coherence.Tracker]). So the answer of a fetch that races a
// write is stored under a stamp that no later read gets.
//
// The parts, in the order in which a [Search] uses them:
//
//   - The client's Cache-Control header ([httpcache.Demands]).
//   - The generations ([coherence.Tracker]) of the resources of an operation
//     (resource.go).
//   - The entry and its freshness (cache.go).
//   - The token's grant ([coherence.Grants]): a token is served hits only for reads that upstream
//     itself has answered for this token lately.
//   - The entries (shared.go) and grants (sharedgrant.go) of other replicas, in Redis.
//   - A [Fill], which comes with each miss and keeps the answer while it streams to the
//     client.
//   - One fetch for all misses of one token for one entry (collapse.go).
//   - Stale answers, within bounds (look.go). A write ends these too.
//
// The package does not fetch. It does not decide whether a client may make a request:
// identity, policy and quota come before. It does not revalidate answers of Object
// Store, which has no documented validators. A cache error is a miss, never an answer
// to the client.
package cache
