// Package stats counts Object Store operations and answers queries in the form of the
// vendor's Stats API, for every plane.
//
// Counting and writing are separate. [Counter.Keep] adds to memory in well under a
// microsecond. Once a second [Counter.Flush] cuts the new counts into a [Batch] for
// each organization and passes it to a [Store]. If the result of a batch is unknown
// (the answer was lost), it is passed again, unchanged, until the store acknowledges
// it, while later counts gather for the next batch. The store remembers the last
// sequence number of each process and applies no batch twice. So the counts in the
// store are exact, however often it was unavailable. A process that is killed loses the
// counts since its last flush: at most one second while the store is available.
//
// Every batch is written at every level (organization, environment, region, store) and
// for every period (hour, day, month), so that a query reads one number per bucket for
// any number of stores.
//
// Counted are operations of the Object Store API answered 2xx, by upstream or by the
// cache, and the gateway's own 304 (current vendor documentation: only 2xx responses
// count toward usage). Operations that Object Store itself answered 2xx, which the
// vendor bills, are counted separately. Both are kept as operations and as billed units
// (an estimate). An exchange belongs to the bucket in which it started.
//
// Sources of the rules: the vendor's page "Object Store v2 REST APIs", part "Object
// Store v2 Stats API" (periods, retention, time frames, isMaster), and its OpenAPI
// description of the Stats API (seven operations). The vendor does not define how
// buckets relate to the ends of the time frame. Here they are the buckets from the one
// that contains startDate to the one that contains endDate, in UTC, as the vendor's
// examples suggest.
//
// The package does not decide who may call (auth and policy do), with one exception: a
// caller may read only the organizations that it belongs to.
package stats
