package proxy

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"osgate/cache"
)

// renewAgain is the pause after a renewal that failed.
const renewAgain = time.Second

// errUnrenewed cuts a write whose mark could not be renewed.
var errUnrenewed = errors.New("the write's mark could not be renewed in time")

// lease renews the mark of a write that is under way, and cuts the write where that fails:
// what upstream has of it by then takes effect within spare, or never, so the write must
// end that long before the mark's deadline. Make it by [holdMark].
type lease struct {
	ctx   context.Context //nolint:containedctx // of the renewals
	mark  *cache.Mark
	spare time.Duration
	cut   func()
	timer *time.Timer
	over  atomic.Bool
}

// holdMark renews mark for as long as the returned lease is not released. It calls cut,
// once or more and on a goroutine of its own, if mark could not be renewed and only spare
// is left until its deadline.
func holdMark(ctx context.Context, mark *cache.Mark, spare time.Duration, cut func()) *lease {
	l := &lease{ctx: ctx, mark: mark, spare: spare, cut: cut}
	l.timer = time.AfterFunc(time.Hour, l.renew)
	l.timer.Reset(l.left() / 2)
	return l
}

// left returns how long the write may go on without a renewal.
func (l *lease) left() time.Duration { return time.Until(l.mark.Deadline()) - l.spare }

// renew renews the mark, or cuts the write when it is too late for that. A renewal that
// takes too long is not waited for.
func (l *lease) renew() {
	left := l.left()
	switch {
	case l.over.Load():
		return
	case left <= 0:
		l.cut()
		return
	}
	late := time.AfterFunc(left, l.cut)
	err := l.mark.Renew(l.ctx)
	if !late.Stop() || l.over.Load() {
		return
	}
	pause := l.left() / 2
	if err != nil {
		pause = min(renewAgain, l.left())
	}
	l.timer.Reset(pause)
}

// release ends the renewals. It may be called more than once.
func (l *lease) release() {
	l.over.Store(true)
	l.timer.Stop()
}
