package metrics

// Gauges contains functions that return current values of other packages. They are
// called at each scrape. A nil function is not shown. The functions are called by many
// goroutines at once and must not block.
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
