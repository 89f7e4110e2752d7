package proxy

import (
	"errors"
	"time"

	"osgate/record"
)

// statusLeft is recorded, never sent: the client went away before it had its answer (nginx's 499).
const statusLeft = 499

// record hands the exchange, whole, to whoever keeps account. It runs when everything else is over, also when an answer was cut, which
// ReverseProxy tells net/http by a panic that must go on.
func (p *Proxy) record(x *exchange) {
	defer p.exchanges.add(x.r.Method, -1) // when it is recorded, which the end of the process waits for
	cut := recover()                      //nolint:revive // record itself is what serve defers
	x.enter(x.stage)
	x.rec.Duration = time.Since(x.rec.Start)
	x.rec.RequestBytes, x.rec.ResponseBytes = x.body.count.Load(), x.w.bytes
	x.reconsider()
	if x.rec.Status == 0 {
		x.rec.Status = x.w.status
	}
	if cut != nil || x.w.err != nil || x.reply != nil && x.reply.err != nil {
		x.cut()
	}
	switch {
	case x.unrecorded:
	case x.over != nil:
		x.over <- &x.rec // never waits: whoever refreshes for x keeps account of both
	default:
		p.Keeper.Keep(&x.rec)
	}
	if cut != nil {
		panic(cut)
	}
}

// cut notes whose fault it was that the client did not get all of the answer.
func (x *exchange) cut() {
	x.rec.Aborted = true
	switch {
	case x.reply != nil && x.reply.err != nil && !x.left():
		x.rec.Cause = "reading upstream's answer: " + record.Cause(x.reply.err)
	default:
		x.rec.Status, x.rec.Cause = statusLeft, record.Cause(errors.Join(x.w.err, x.r.Context().Err()))
	}
}
