package proxy

import (
	"errors"
	"time"

	"osgate/record"
)

// record passes the complete exchange to the Keeper. It runs last, also if an answer
// was cut: ReverseProxy reports that to net/http by a panic, which record must
// continue.
func (p *Proxy) record(x *exchange) {
	defer p.exchanges.add(x.r.Method, -1) // after the record is kept: the end of the process waits for that
	cut := recover()                      //nolint:revive // record itself is what serve defers
	x.enter(x.stage)
	x.rec.Duration = time.Since(x.rec.Start)
	x.rec.RequestBytes, x.rec.ResponseBytes = x.body.count.Load(), x.w.bytes
	x.recordLastDecision()
	if x.rec.Status == 0 {
		x.rec.Status = x.w.status
	}
	if cut != nil || x.w.err != nil || x.reply != nil && x.reply.err != nil {
		x.noteCut()
	}
	switch {
	case x.unrecorded:
	case x.recordTo != nil:
		x.recordTo <- &x.rec // never waits; the refresh keeps one record of both
	default:
		p.Keeper.Keep(&x.rec)
	}
	if cut != nil {
		panic(cut)
	}
}

// noteCut records why the client did not get the whole answer: upstream broke off, or
// the client left.
func (x *exchange) noteCut() {
	x.rec.Aborted = true
	switch {
	case x.reply != nil && x.reply.err != nil && !x.left():
		x.rec.Cause = "reading upstream's answer: " + record.Cause(x.reply.err)
	default:
		x.rec.Status, x.rec.Cause = record.StatusClientLeft, record.Cause(errors.Join(x.w.err, x.r.Context().Err()))
	}
}
