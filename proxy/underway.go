package proxy

import (
	"net/http"
	"slices"
	"sync/atomic"
)

// methods lists the methods whose exchanges are counted separately. All others are
// counted together, because a client may send any method.
var methods = []string{
	http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions,
	http.MethodConnect, http.MethodTrace,
}

// underWay counts the exchanges that are under way, by method. Safe for concurrent use.
type underWay []atomic.Int64

// newUnderWay returns counters that are all zero.
func newUnderWay() underWay { return make(underWay, len(methods)+1) }

// add adds n to the count of a method's exchanges.
func (u underWay) add(method string, n int64) {
	i := slices.Index(methods, method)
	if i < 0 {
		i = len(methods)
	}
	u[i].Add(n)
}

// Exchanges returns how many exchanges are under way.
func (p *Proxy) Exchanges() (n int64) {
	for i := range p.exchanges {
		n += p.exchanges[i].Load()
	}
	return n
}

// ExchangesByMethod calls yield with the number of exchanges under way for each method.
// The method is empty for all methods that HTTP does not define.
func (p *Proxy) ExchangesByMethod(yield func(method string, n int64)) {
	for i, method := range append(slices.Clone(methods), "") {
		yield(method, p.exchanges[i].Load())
	}
}
