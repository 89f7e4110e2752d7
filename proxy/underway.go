package proxy

import (
	"net/http"
	"slices"
	"sync/atomic"
)

// methods are those whose exchanges are counted one by one. All others are counted
// together: a client may send any.
var methods = []string{
	http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions,
	http.MethodConnect, http.MethodTrace,
}

// underWay counts the exchanges that are under way, by method. Safe for concurrent use.
type underWay []atomic.Int64

// newUnderWay returns counts of no exchange.
func newUnderWay() underWay { return make(underWay, len(methods)+1) }

// add adds n to the exchanges of a method.
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

// ExchangesByMethod tells how many exchanges of each method are under way; the method is
// empty for all that are not of HTTP's own.
func (p *Proxy) ExchangesByMethod(tell func(method string, n int64)) {
	for i, method := range append(slices.Clone(methods), "") {
		tell(method, p.exchanges[i].Load())
	}
}
