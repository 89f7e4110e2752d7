package proxy

// Load is the number of slots of a [Proxy] that are in use.
type Load struct {
	// Exchanges that hold a slot now. Refused exchanges hold slots of their own while
	// their answers are written and the rest of their requests is read.
	Identified, Unidentified, Refused int64

	// The maximum: in all, of unidentified exchanges, of refused exchanges.
	Limit, UnidentifiedLimit, RefusedLimit int64

	// Exchanges that got no slot since the start, by the bound that was reached: all
	// slots, slots of unidentified exchanges, those of one address, and those of
	// refused exchanges. The last are cut off without an answer.
	ShortOfAll, ShortOfUnidentified, ShortOfAddress, ShortOfRefused int64
}

// Load returns the slots in use. It never waits for an exchange.
func (p *Proxy) Load() Load {
	serving, short := p.serving.counts()
	lingering, cut := p.lingering.counts()
	return Load{
		Identified: int64(serving[identified]), Unidentified: int64(serving[unidentified]),
		Refused: int64(lingering[identified] + lingering[unidentified]),
		Limit:   int64(p.serving.limit), UnidentifiedLimit: int64(p.serving.unidentified), RefusedLimit: int64(p.lingering.limit),
		ShortOfAll: short[shortOfAll], ShortOfUnidentified: short[shortOfUnidentified], ShortOfAddress: short[shortOfAddress],
		ShortOfRefused: cut[shortOfAll] + cut[shortOfUnidentified] + cut[shortOfAddress],
	}
}
