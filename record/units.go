package record

import "net/http"

// unitBytes is the payload that is billed as one request ("Object Store v2 usage": one
// effective API request for each 100 KB).
const unitBytes = 100_000

// Counted reports whether statistics count x as an operation: an Object Store operation
// of a client that was answered 2xx, by upstream or by the cache. A 304 of the gateway
// counts too, if Object Store was not asked or answered differently ("Object Store v2
// usage": only successful requests count).
func (x *Exchange) Counted() bool {
	if x.Surface != SurfaceObjectStore || x.CausedBy != "" {
		return false
	}
	if x.Status == http.StatusNotModified {
		return x.UpstreamStatus != http.StatusNotModified
	}
	return successful(x.Status)
}

// Billed reports whether the vendor bills x: an operation that Object Store answered
// 2xx, even if the answer did not reach the client. An answer from the cache without a
// request to Object Store is not billed, nor is an answer from the cache because Object
// Store failed.
func (x *Exchange) Billed() bool {
	return x.Surface == SurfaceObjectStore && x.UpstreamAttempts > 0 && successful(x.UpstreamStatus)
}

// BilledUnits estimates as how many "effective requests" x is billed: one for each
// started 100,000 bytes of the value that was sent, or of the value or list that Object
// Store answered, even if the client did not receive all of it; at least 1. It is 0 if
// x is not [Exchange.Billed].
//
// It is an estimate from the bytes that pass the gateway. For a list of keys the vendor
// also bills the values, and for the deletion of a store each of its partitions; the
// gateway sees neither. Bytes that Object Store sends after the gateway has stopped
// reading, because the client has left, are not counted either.
func (x *Exchange) BilledUnits() int64 {
	if !x.Billed() {
		return 0
	}
	return units(max(x.RequestBytes, x.UpstreamBytes))
}

// CountedUnits estimates as how many "effective requests" x would be billed if Object
// Store itself had answered the client: one for each started 100,000 bytes of the value
// that the client sent, or of the value or list that it received; at least 1. It is 0
// if x is not [Exchange.Counted]. A 304 of the gateway is 1, for any size of the value.
func (x *Exchange) CountedUnits() int64 {
	if !x.Counted() {
		return 0
	}
	return units(max(x.RequestBytes, x.ResponseBytes))
}

func units(payload int64) int64 { return max(1, payload/unitBytes+min(1, payload%unitBytes)) }

func successful(status int) bool { return status >= 200 && status < 300 }
