package coherence

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"osgate/internal/redisconn"
)

var (
	_ ReadStarter      = (*Redis)(nil)
	_ PendingRead      = (*redisPendingRead)(nil)
	_ redisconn.Sharer = (*redisPendingRead)(nil)
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
	question  *readQuestion // of the round trip under way, in place of the read script; nil: none
	first     readQuestion  // of the first round trip; only the last may still be answered when its caller has left
	trips     int           // with a question

	reading Reading // of the latest round trip, if err is nil
	err     error   // why the latest round trip has no reading
}

// Share implements [redisconn.Sharer]. The state of a token is not shared: only the
// script can make its id.
func (e *redisPendingRead) Share() (q redisconn.Question, alone bool) {
	e.question = nil
	if e.coherence.unmarked.any() || !e.coherence.sharesReads() {
		return nil, false
	}
	e.began = time.Now()
	if e.trips == 0 {
		e.question = &e.first
	} else {
		e.question = &readQuestion{}
	}
	e.trips++
	e.question.coherence, e.question.on = e.coherence, e.on
	e.question.script = !e.coherence.seen.all(&e.on)
	return e.question, e.query == nil
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
	switch {
	case e.question != nil:
		e.calls = []call{e.query.grants.tokenCall(&e.query.key)}
	case e.query != nil:
		e.calls = e.query.grants.readCalls(e.on, &e.query.key)
	default:
		e.calls = e.coherence.calls(e.on, e.coherence.scripts.read)
	}
	e.cmds = queueAll(ctx, p, e.calls, e.whole)
}

// Done implements [redisconn.Rider]. The last trip counts.
func (e *redisPendingRead) Done(err error) {
	calls, cmds, q := e.calls, e.cmds, e.question
	e.calls, e.cmds, e.question = nil, nil, nil
	switch {
	case errors.Is(err, redisconn.ErrDown):
		e.err = err
	case err != nil || cmds == nil && (q == nil || e.query != nil):
		e.err = errNoResult
	case unknownScript(cmds):
		e.whole, e.err = true, errNoResult
	case q != nil && !q.answered:
		e.coherence.seen.drop(&e.on)
		e.err = errNoResult
	default:
		e.reading, e.err = e.parse(calls, cmds, q)
	}
}

// unknownScript reports whether Redis did not know a script of one of the commands.
func unknownScript(cmds []*redis.Cmd) bool { return slices.ContainsFunc(cmds, notKnown) }

// parse returns the reading in the answers of the latest trip. q is its question, or
// nil.
func (e *redisPendingRead) parse(calls []call, cmds []*redis.Cmd, q *readQuestion) (Reading, error) {
	if err := take(calls, cmds); err != nil {
		return Reading{}, err
	}
	if q != nil && e.query == nil {
		return q.reading, nil
	}
	if q != nil {
		return e.query.grants.withToken(q.reading, &calls[0], &e.query.key, e.began)
	}
	e.coherence.seen.add(&e.on)
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
