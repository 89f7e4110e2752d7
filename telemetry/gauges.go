package telemetry

// Gauges contains functions that return current values of other packages. They are
// called at each scrape and for each [Snapshot]. A nil function is not shown. The
// functions are called by many goroutines at once and must not block.
type Gauges struct {
	// ExchangesUnderWay reports how many exchanges of each method are under way. The
	// method is empty for all methods that HTTP does not define.
	ExchangesUnderWay func(report func(method string, n int64))

	CacheBytes   func() int64 // memory of the cached answers in this process
	CacheEntries func() int64
	RedisUp      func() bool // whether Redis answers; nil in embedded mode

	// CacheEvents reports how often each kind of event has occurred in the cache since
	// the start. The kinds are a closed list.
	CacheEvents func(report func(event string, n int64))

	// CacheLeases reports how many leases of writes are held: of writes under way
	// ("under_way"), and of writes that are over ("kept").
	CacheLeases func(report func(state string, n int64))
}

// underWay returns how many exchanges of all methods are under way, nil if there is no
// function.
func (g *Gauges) underWay() *int64 {
	if g.ExchangesUnderWay == nil {
		return nil
	}
	all := int64(0)
	g.ExchangesUnderWay(func(_ string, n int64) { all += n })
	return &all
}

// read returns the result of f, nil without a function.
func read[T any](f func() T) *T {
	if f == nil {
		return nil
	}
	return new(f())
}
