// Package cache answers "can we answer without asking": the gateway's store of Object Store answers, how long they are fresh, who may be
// served them, and whether a write has made them untrue meanwhile.
//
// The idea a reader needs: nothing is ever looked for and thrown away when something is written. Every entry carries a [Stamp], the random
// generations of all that it was read from, taken before the fetch. A write gives what it touches new generations and holds a lease on it
// until its outcome is certain ([Cache.Mark]); an entry is served only while its stamp is what a read would get now and no lease is alive
// on it ([Coherence]). So a fill that races a write is stored under a stamp that nobody will ever ask for.
//
// The parts, in the order in which [Cache.Look] asks them: what the client's header allows (directives.go), the generations (protocol.go
// is the protocol as pure functions; local.go runs it in one process, redis.go and lua over all replicas, unmarked.go makes up for what was
// written without Redis), the entry and its freshness (entry.go, freshness.go), and the token's grant (grant.go): a token is served hits
// only for what upstream itself has answered it lately. Over replicas entries (shared.go) and grants (sharedgrant.go) travel by Redis. A miss
// comes with a [Fill], which keeps the answer as it streams by; misses of one token for one thing share it (collapse.go). What is no longer
// fresh may be served within bounds (stale.go), a write ends that too.
//
// [Web] is the same engine without Object Store: any resource, by RFC 9111 alone, with validation (web.go and its neighbors).
//
// What it does not do: fetch, decide whether a client may ask at all (identity, policy and quota come before), or, for Object Store,
// revalidate (it has no documented validators). A cache error is a miss, never an answer to the client.
package cache
