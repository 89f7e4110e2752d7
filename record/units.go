package record

import "net/http"

// unitBytes is how much payload is billed as one request ("Object Store v2 usage": one effective API request for each 100 KB).
const unitBytes = 100_000

// Counted reports whether x is an Object Store operation that its client was answered 2xx, by upstream or by the cache, or 304 by ourselves
// where Object Store was not asked or had said something else: those that statistics count ("Object Store v2 usage": only successful
// requests count).
func (x *Exchange) Counted() bool {
	if x.Surface != SurfaceObjectStore || x.CausedBy != "" {
		return false
	}
	if x.Status == http.StatusNotModified {
		return x.UpstreamStatus != http.StatusNotModified
	}
	return successful(x.Status)
}

// Billed reports whether x is an operation that Object Store itself answered 2xx, which is what the vendor bills, whatever became of the answer on
// its way to the client. What the cache answered alone is not, nor what the cache answered because Object Store failed.
func (x *Exchange) Billed() bool {
	return x.Surface == SurfaceObjectStore && x.UpstreamAttempts > 0 && successful(x.UpstreamStatus)
}

// BilledUnits estimates as how many "effective requests" x is billed: 1 for each started 100,000 bytes of the value sent or of the value or list
// that Object Store answered with, whatever of it the client got, and 1 at least; 0 for what is not [Exchange.Billed].
//
// It is an estimate, from what passes the gateway: the vendor bills a list of keys by the values behind them too, and the deletion of a store
// once more for each of its partitions, neither of which is seen here. Nor is what Object Store still sends when the gateway has stopped
// reading, because the client has left.
func (x *Exchange) BilledUnits() int64 {
	if !x.Billed() {
		return 0
	}
	return units(max(x.RequestBytes, x.UpstreamBytes))
}

// CountedUnits estimates as how many "effective requests" x would be billed had Object Store answered the client itself: 1 for each started
// 100,000 bytes of the value that the client sent or of the value or list that it got, and 1 at least; 0 for what is not [Exchange.Counted].
// A 304 of our own is 1, however large the value that was not sent.
func (x *Exchange) CountedUnits() int64 {
	if !x.Counted() {
		return 0
	}
	return units(max(x.RequestBytes, x.ResponseBytes))
}

func units(payload int64) int64 { return max(1, payload/unitBytes+min(1, payload%unitBytes)) }

func successful(status int) bool { return status >= 200 && status < 300 }
