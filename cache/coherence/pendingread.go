package coherence

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"osgate/internal/redisconn"
)

var (
	_ ReadStarter     = (*Redis)(nil)
	_ PendingRead     = (*redisPendingRead)(nil)
	_ redisconn.Rider = (*redisPendingRead)(nil)
)

// errNoResult is the error while no round trip has returned a result.
var errNoResult = errors.New("no round trip has returned the generations")

// StartRead implements [ReadStarter]: the read is sent along with any command on the
// same [redisconn.Conn].
func (c *Redis) StartRead(ctx context.Context, on Resources) (context.Context, PendingRead) {
	e := &redisPendingRead{coherence: c, on: on, err: errNoResult}
	return c.conn.WithRider(ctx, e), e
}

// redisPendingRead is a Read that is sent along with other commands.
//
// It checks twice whether a write of this gateway still waits to be marked. The first
// check is before the read is sent, because its generations may be older than the
// write, which may have been marked by the time that they are used. The second check is
// when they are used, as in any Read.
type redisPendingRead struct {
	coherence *Redis
	on        Resources
	query     *grantQuery // the grant to read too; nil: none
	whole     bool        // Redis did not know the script: send its source
	calls     []call
	cmds      []*redis.Cmd // of the round trip under way
	began     time.Time

	reading Reading // of the latest round trip, if err is nil
	err     error   // why the latest round trip has no reading
}

// Queue implements [redisconn.Rider]. Each trip has new ids for generations that are
// missing: an id that was used once must not be used again after its generation has
// been replaced and forgotten.
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

// Done implements [redisconn.Rider]. The last trip counts.
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

// parse returns the reading in the answers of the latest trip.
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
		return Reading{}, fmt.Errorf("reading generations in a shared round trip: %w", e.err)
	}
	return e.reading, nil
}
