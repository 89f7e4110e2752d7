// Package stats keeps count of Object Store operations and answers in the form of the vendor's Stats API, at once and for every plane.
//
// The idea a reader needs: counting and writing are apart. [Counter.Keep] adds to memory in well under a microsecond. Once a second
// [Counter.Flush] cuts what has gathered into a [Batch] for each organization and hands it to a [Store]. A batch whose fate is unknown (the
// answer was lost) is handed over again, unchanged, until the store acknowledges it, while later counts gather for the next; the store
// remembers the last sequence number of each process and applies no batch twice. So what the store keeps is exact, however often it
// was away; a process that is killed loses what it counted since its last flush, one second at most while the store is up.
//
// Every batch is written at every level (organization, environment, region, store) and for every period (hour, day, month), so that a query
// reads one number a bucket whatever the number of stores.
//
// What counts: operations of the Object Store API answered 2xx, by upstream or by the cache, and a 304 of our own (current vendor
// documentation: only 2xx responses count toward usage). Counted apart is what Object Store itself answered 2xx, which is what the vendor bills.
// Both are kept as operations and as billed units (an estimate). An exchange belongs to the bucket in which it started.
//
// Sources of the rules: the vendor's page "Object Store v2 REST APIs", part "Object Store v2 Stats API" (periods, retention, time frames,
// isMaster), and its OpenAPI description of the Stats API (seven operations). The vendor does not say how buckets meet the ends of the time
// frame; here they are those from the one that holds startDate to the one that holds endDate, in UTC, as its examples suggest.
//
// The package does not decide who may call (that is auth's and policy's), but for one rule of its own: a caller reads only the
// organizations that it belongs to.
package stats
