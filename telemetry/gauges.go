package telemetry

// Gauges are numbers that somebody else keeps and that are read when they are asked for: at each scrape and for each [Snapshot]. A nil field is
// not shown. The functions are called by many goroutines at once and must not wait.
type Gauges struct {
	// ExchangesUnderWay tells how many exchanges of each method are under way; the method
	// is empty for all that are not of HTTP's own.
	ExchangesUnderWay func(tell func(method string, n int64))

	CacheBytes   func() int64 // what cached answers take in this process
	CacheEntries func() int64
	RedisUp      func() bool // whether Redis answers; nil in embedded mode

	// CacheEvents tells how often each kind of thing has happened in the cache since the start; the kinds are a closed list.
	CacheEvents func(tell func(event string, n int64))

	// CacheLeases reports how many leases of writes are held: of writes under way
	// ("under_way"), and of those that are over ("kept").
	CacheLeases func(tell func(state string, n int64))
}

// underWay returns how many exchanges of all methods are under way, nil if nobody tells.
func (g *Gauges) underWay() *int64 {
	if g.ExchangesUnderWay == nil {
		return nil
	}
	all := int64(0)
	g.ExchangesUnderWay(func(_ string, n int64) { all += n })
	return &all
}

// read returns what f says, nil without one.
func read[T any](f func() T) *T {
	if f == nil {
		return nil
	}
	return new(f())
}
