package proxy

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"osgate/cache"
)

// renewAgain is the pause after a failed renewal.
const renewAgain = time.Second

// errUnrenewed cuts a write whose mark could not be renewed.
var errUnrenewed = errors.New("the write's mark could not be renewed in time")

// lease renews the mark of a write that is under way, and cuts the write if the
// renewals fail. What upstream has received of the write takes effect within spare, or
// never. So the write must end that long before the mark's deadline. Create it with
// [holdMark].
type lease struct {
	ctx      context.Context //nolint:containedctx // of the renewals
	mark     *cache.Mark
	spare    time.Duration
	cut      func()
	timer    *time.Timer
	released atomic.Bool
}

// holdMark renews mark until the returned lease is released. It calls cut, once or more
// and on a goroutine of its own, if mark could not be renewed and only spare is left
// until its deadline.
func holdMark(ctx context.Context, mark *cache.Mark, spare time.Duration, cut func()) *lease {
	l := &lease{ctx: ctx, mark: mark, spare: spare, cut: cut}
	l.timer = time.AfterFunc(time.Hour, l.renew)
	l.timer.Reset(l.remaining() / 2)
	return l
}

// remaining returns how long the write may continue without a renewal.
func (l *lease) remaining() time.Duration { return time.Until(l.mark.Deadline()) - l.spare }

// renew renews the mark, or cuts the write if it is too late for that. It does not wait
// for a renewal that takes too long.
func (l *lease) renew() {
	left := l.remaining()
	switch {
	case l.released.Load():
		return
	case left <= 0:
		l.cut()
		return
	}
	late := time.AfterFunc(left, l.cut)
	err := l.mark.Renew(l.ctx)
	if !late.Stop() || l.released.Load() {
		return
	}
	pause := l.remaining() / 2
	if err != nil {
		pause = min(renewAgain, l.remaining())
	}
	l.timer.Reset(pause)
}

// release ends the renewals. It may be called more than once.
func (l *lease) release() {
	l.released.Store(true)
	l.timer.Stop()
}
