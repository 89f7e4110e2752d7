package proxy

// Load is how much of its room a [Proxy] uses.
type Load struct {
	// Exchanges that hold a slot now. Refused ones hold slots of their own while their
	// answers are written and the rest of their requests is read.
	Identified, Unidentified, Refused int64

	// How many may: in all, of those that are not identified, of refused ones.
	Limit, UnidentifiedLimit, RefusedLimit int64

	// Exchanges that got no slot since the start, by what there was too little of: slots,
	// slots for those that are not identified, those of one address, and those for refused
	// ones. The last are cut off without an answer.
	ShortOfAll, ShortOfUnidentified, ShortOfAddress, ShortOfRefused int64
}

// Load returns how much of its room p uses. It never waits for an exchange.
func (p *Proxy) Load() Load {
	serving, short := p.serving.counts()
	lingering, cut := p.lingering.counts()
	return Load{
		Identified: int64(serving[identified]), Unidentified: int64(serving[stranger]),
		Refused: int64(lingering[identified] + lingering[stranger]),
		Limit:   int64(p.serving.limit), UnidentifiedLimit: int64(p.serving.strangers), RefusedLimit: int64(p.lingering.limit),
		ShortOfAll: short[shortOfAll], ShortOfUnidentified: short[shortOfStranger], ShortOfAddress: short[shortOfAddress],
		ShortOfRefused: cut[shortOfAll] + cut[shortOfStranger] + cut[shortOfAddress],
	}
}
