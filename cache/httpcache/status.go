package httpcache

import "osgate/record"

// Status is how the cache handled a request.
type Status = record.CacheResult

// Forward is why a request was sent upstream.
type Forward = record.Forward

// The values of [Forward].
const (
	ForwardMiss    = record.ForwardMiss
	ForwardStale   = record.ForwardStale
	ForwardRequest = record.ForwardRequest
	ForwardBypass  = record.ForwardBypass
)

// Values of [Status].Detail: the field of the request that requires an answer from
// upstream, and the directive by which an entry is served although it is no longer
// fresh (RFC 5861).
const (
	DetailNoStore         = "no-store"
	DetailNoCache         = "no-cache"
	DetailMaxAge          = "max-age"
	DetailIfMatch         = "if-match"
	DetailWhileRevalidate = "stale-while-revalidate"
	DetailIfError         = "stale-if-error"
)
