// Package coherence keeps caches coherent with the writes that pass through them. It
// knows resources by their hashes alone, not what they stand for.
//
// Every answer that depends on resources carries a [Stamp]: their random generations,
// read before the answer was fetched. A write gives the resources that it touches new
// generations, and holds a lease on them until its outcome is certain. An answer may be
// served only while its stamp is the one that a read gets now and no lease is alive.
//
// protocol.go is the protocol as pure functions. [NewLocal] runs it in one process
// ([Tracker]), [NewRedis] over all replicas, with Lua scripts. unmarked.go marks the
// writes that were forwarded without Redis.
//
// [Grants] records for which reads upstream itself has answered a token lately.
// Replicas share these rights in the same Redis ([RedisGrants]), and read them together
// with the generations.
package coherence
