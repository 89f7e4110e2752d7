package cache

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"osgate/internal/redisconn"
)

var (
	_ ReadStarter     = (*RedisCoherence)(nil)
	_ PendingRead     = (*redisPendingRead)(nil)
	_ redisconn.Rider = (*redisPendingRead)(nil)
)

// errNoResult says that no round trip has brought an answer.
var errNoResult = errors.New("no round trip has brought the generations")

// StartRead implements [ReadStarter]: the question rides with whatever is asked of the same [redisconn.Conn].
func (c *RedisCoherence) StartRead(ctx context.Context, on Resources) (context.Context, PendingRead) {
	e := &redisPendingRead{coherence: c, on: on, err: errNoResult}
	return c.conn.WithRider(ctx, e), e
}

// redisPendingRead is a Read that rides along.
//
// Whether a write of this gateway waits to be marked is asked twice. Before the question is sent, because the generations that it gets may
// be those of before the write, which may have been marked by the time that they are used; and when they are used, as any Read asks.
type redisPendingRead struct {
	coherence *RedisCoherence
	on        Resources
	query     *grantQuery // whose grant is asked for too; nil: nobody's
	whole     bool        // Redis did not know the script: it is sent whole
	calls     []call
	cmds      []*redis.Cmd // of the round trip under way
	began     time.Time

	reading Reading // of the latest round trip, unless
	err     error   // it brought none
}

// Queue implements [redisconn.Rider]. Each trip has ids of its own for generations that are missing: one that was given once must not
// come back when the generation has been replaced and forgotten since.
func (e *redisPendingRead) Queue(ctx context.Context, p redis.Pipeliner) {
	e.calls, e.cmds = nil, nil
	if e.coherence.unmarked.any() {
		return
	}
	e.began = time.Now()
	if e.query != nil {
		e.calls = e.query.grants.readCalls(e.on, &e.query.key)
	} else {
		e.calls = e.coherence.calls(e.on, e.coherence.scripts.read)
	}
	e.cmds = queueAll(ctx, p, e.calls, e.whole)
}

// Done implements [redisconn.Rider]. The last trip is the one that counts.
func (e *redisPendingRead) Done(err error) {
	calls, cmds := e.calls, e.cmds
	e.calls, e.cmds = nil, nil
	switch {
	case errors.Is(err, redisconn.ErrDown):
		e.err = err
	case err != nil || cmds == nil:
		e.err = errNoResult
	case unknownScript(cmds):
		e.whole, e.err = true, errNoResult
	default:
		e.reading, e.err = e.parse(calls, cmds)
	}
}

// parse is what the answers of the trip that began last say.
func (e *redisPendingRead) parse(calls []call, cmds []*redis.Cmd) (Reading, error) {
	if err := take(calls, cmds); err != nil {
		return Reading{}, err
	}
	if e.query != nil {
		return e.query.grants.readingFor(calls, &e.query.key, e.began)
	}
	if err := e.coherence.remember(calls); err != nil {
		return Reading{}, err
	}
	return readingOf(calls)
}

// Read implements [PendingRead].
func (e *redisPendingRead) Read(ctx context.Context) (Reading, error) {
	switch {
	case e.coherence.unmarked.any():
		return Reading{}, errUnmarked
	case errors.Is(e.err, errNoResult) && e.query != nil:
		return e.query.grants.ReadFor(ctx, e.on, e.query.key)
	case errors.Is(e.err, errNoResult):
		return e.coherence.Read(ctx, e.on)
	case e.err != nil:
		return Reading{}, fmt.Errorf("reading generations on the way: %w", e.err)
	}
	return e.reading, nil
}
