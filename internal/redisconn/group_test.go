package redisconn

import (
	"context"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestCallersThatWaitAreSentTogether: those that call while a batch is under way are
// the next one, and each gets its own answer.
func TestCallersThatWaitAreSentTogether(t *testing.T) {
	c, p := puppeteer(t, time.Minute, time.Hour)
	at := first(t, c, p)
	one := ask(t.Context(), c, "one")
	at.expect(1)
	var others []<-chan result
	for i := range 10 {
		others = append(others, ask(t.Context(), c, strconv.Itoa(i)))
	}
	awaitWaiting(t, c.group, 10)
	at.nothing()
	at.answer("one")
	want(t, one, "one")
	at.answer(at.expect(10)...)
	for i, other := range others {
		want(t, other, strconv.Itoa(i))
	}
	if n := c.Counts(); n.Dialed != 1 {
		t.Errorf("%d connections, want 1", n.Dialed)
	}
}

// TestCallersDoNotWaitForADistantRedis: a caller sends at once if the batch under way
// was sent a while ago.
func TestCallersDoNotWaitForADistantRedis(t *testing.T) {
	c, p := puppeteer(t, time.Minute, 0)
	at := first(t, c, p)
	one := ask(t.Context(), c, "one")
	awaitSent(t, c.group, 1)
	two := ask(t.Context(), c, "two")
	at.expect(2)
	at.answer("one", "two")
	want(t, one, "one")
	want(t, two, "two")
}

// TestCallersThatWaitAreSentBeforeADistantRedisAnswers.
func TestCallersThatWaitAreSentBeforeADistantRedisAnswers(t *testing.T) {
	c, p := puppeteer(t, time.Minute, 50*time.Millisecond)
	at := first(t, c, p)
	one := ask(t.Context(), c, "one")
	at.expect(1)
	two := ask(t.Context(), c, "two")
	at.expect(1)
	at.answer("one", "two")
	want(t, one, "one")
	want(t, two, "two")
}

// TestMoreCallersThanABatchHolds are sent without waiting for an answer.
func TestMoreCallersThanABatchHolds(t *testing.T) {
	c, p := puppeteer(t, time.Minute, time.Hour)
	at := first(t, c, p)
	one := ask(t.Context(), c, "one")
	at.expect(1)
	all := make([]<-chan result, 2*maxBatch+5)
	for i := range all {
		all[i] = ask(t.Context(), c, strconv.Itoa(i))
	}
	awaitWaiting(t, c.group, len(all))
	at.answer("one")
	want(t, one, "one")
	keys := at.expect(2 * maxBatch)
	at.nothing() // the rest joins the next batch
	at.answer(keys...)
	at.answer(at.expect(5)...)
	for i := range all {
		want(t, all[i], strconv.Itoa(i))
	}
}

// TestAnswersThatAreLateAreSkipped: the next round trip on the connection gets its own
// answer.
func TestAnswersThatAreLateAreSkipped(t *testing.T) {
	c, p := puppeteer(t, 500*time.Millisecond, 0)
	at := first(t, c, p)
	if r := <-ask(t.Context(), c, "late"); !errors.Is(r.err, ErrDown) {
		t.Fatalf("got %v, want ErrDown", r.err)
	}
	at.expect(1)
	next := ask(t.Context(), c, "next")
	at.expect(1)
	at.answer("late", "next")
	want(t, next, "next")
	if n := c.Counts(); n.Dialed != 1 || n.Stale != 0 {
		t.Errorf("counts %+v, want one connection", n)
	}
}

// TestALateReplyIsNotTheNextScripts: a caller that has given up may use its memory again
// while its reply still arrives.
func TestALateReplyIsNotTheNextScripts(t *testing.T) {
	c, p := puppeteer(t, 500*time.Millisecond, 0)
	at := first(t, c, p)
	eval := func(key string) <-chan result {
		ended := make(chan result, 1)
		go func() {
			var r result
			r.err = c.Eval(t.Context(), NewScript(""), key, func(replies *Replies) error {
				r.value = string(replies.Text())
				return replies.Err()
			})
			ended <- r
		}()
		return ended
	}
	late := eval("late")
	at.expect(1)
	_, _ = io.WriteString(at, "$4\r\nla") // and no more for now
	if r := <-late; !errors.Is(r.err, ErrDown) {
		t.Fatalf("got %v, want ErrDown", r.err)
	}
	next := eval("next")
	at.expect(1)
	_, _ = io.WriteString(at, "te\r\n$4\r\nnext\r\n")
	want(t, next, "next")
}

// TestABatchThatIsLateBeforeItIsSentLeavesTheConnection: a process that did not run for
// longer than the timeout does not end the round trips under way.
func TestABatchThatIsLateBeforeItIsSentLeavesTheConnection(t *testing.T) {
	c, p := puppeteer(t, time.Minute, time.Hour)
	at := first(t, c, p)
	one := ask(t.Context(), c, "one")
	at.expect(1)
	late := ask(t.Context(), c, "late")
	next := ask(t.Context(), c, "next")
	awaitWaiting(t, c.group, 2)
	c.group.mu.Lock()
	c.group.waiting[0].deadline = time.Now() // the next batch has the deadline of its oldest member
	c.group.mu.Unlock()
	at.answer("one")
	want(t, one, "one")
	for _, ended := range []<-chan result{late, next} {
		if r := <-ended; !errors.Is(r.err, ErrDown) {
			t.Errorf("a caller of the late batch got %q, %v; want ErrDown", r.value, r.err)
		}
	}
	again := ask(t.Context(), c, "again")
	at.answer(at.expect(1)...)
	want(t, again, "again")
	if n := c.Counts(); n.Dialed != 1 || n.Stale != 0 {
		t.Errorf("counts %+v, want one connection", n)
	}
}

// TestAnswersMayArriveInPieces, of which one arrives after those that wait were sent,
// and one after the batch was given up.
func TestAnswersMayArriveInPieces(t *testing.T) {
	const limit = time.Second
	c, p := puppeteer(t, limit, time.Millisecond)
	at := first(t, c, p)
	for name, pause := range map[string]time.Duration{"one": 10 * time.Millisecond, "two": limit + 50*time.Millisecond} {
		ended := ask(t.Context(), c, name)
		at.expect(1)
		_, _ = io.WriteString(at, "$3\r\n"+name[:1])
		<-time.After(pause)
		_, _ = io.WriteString(at, name[1:]+"\r\n")
		if r := <-ended; pause < limit && r.value != name || pause > limit && !errors.Is(r.err, ErrDown) {
			t.Errorf("after %v: %q, %v", pause, r.value, r.err)
		}
	}
	next := ask(t.Context(), c, "next")
	at.answer(at.expect(1)...)
	want(t, next, "next")
	if n := c.Counts(); n.Stale != 0 {
		t.Errorf("counts %+v, want one connection", n)
	}
}

// TestABatchEndsWithItsOldestMember: none of its members waits longer than the first.
func TestABatchEndsWithItsOldestMember(t *testing.T) {
	const limit = 300 * time.Millisecond
	c, p := puppeteer(t, limit, time.Hour)
	first(t, c, p)
	began := time.Now()
	one := ask(t.Context(), c, "one")
	awaitSent(t, c.group, 1)
	two := ask(t.Context(), c, "two")
	awaitWaiting(t, c.group, 1)
	for _, ended := range []<-chan result{one, two} {
		if r := <-ended; !errors.Is(r.err, ErrDown) || !strings.Contains(r.err.Error(), "no answer within") {
			t.Errorf("got %v, want ErrDown", r.err)
		}
	}
	if took := time.Since(began); took > 10*limit {
		t.Errorf("the second one waited for %v, want %v at most", took, 2*limit)
	}
}

// TestTheEndOfAConnectionIsOneFailure, whatever the number of round trips on it.
func TestTheEndOfAConnectionIsOneFailure(t *testing.T) {
	c, p := puppeteer(t, time.Minute, 0)
	at := first(t, c, p)
	all := make([]<-chan result, 3*tripAfter)
	for i := range all {
		all[i] = ask(t.Context(), c, strconv.Itoa(i))
		awaitSent(t, c.group, i+1)
	}
	at.expect(len(all))
	_ = at.Close()
	for _, ended := range all {
		if r := <-ended; !errors.Is(r.err, ErrDown) {
			t.Errorf("got %v, want ErrDown", r.err)
		}
	}
	if !c.State().OK {
		t.Errorf("the state is %+v", c.State())
	}
	first(t, c, p)
}

// TestAConnectionThatEndedWhileIdleHarmsNobody: the next caller gets another one.
func TestAConnectionThatEndedWhileIdleHarmsNobody(t *testing.T) {
	c, p := puppeteer(t, time.Minute, time.Hour)
	_ = first(t, c, p).Close()
	for c.Counts().Stale == 0 {
		<-time.After(time.Millisecond)
	}
	first(t, c, p)
	if s := c.State(); s.LastError != "" {
		t.Errorf("the state is %+v", s)
	}
}

// TestASilentConnectionIsReplaced after a second.
func TestASilentConnectionIsReplaced(t *testing.T) {
	t.Parallel()
	c, p := puppeteer(t, 500*time.Millisecond, time.Hour)
	at := first(t, c, p)
	<-ask(t.Context(), c, "late")
	for c.Counts().Stale == 0 {
		<-time.After(time.Millisecond)
	}
	_ = at.Close()
	first(t, c, p)
}

// TestACallerThatLeavesWhileItWaitsSendsNothing.
func TestACallerThatLeavesWhileItWaitsSendsNothing(t *testing.T) {
	c, p := puppeteer(t, time.Minute, time.Hour)
	at := first(t, c, p)
	one := ask(t.Context(), c, "one")
	at.expect(1)
	ctx, cancel := context.WithCancel(t.Context())
	leaver := ask(ctx, c, "leaver")
	awaitWaiting(t, c.group, 1)
	cancel()
	if r := <-leaver; !errors.Is(r.err, context.Canceled) || errors.Is(r.err, ErrDown) {
		t.Errorf("got %v, want context.Canceled", r.err)
	}
	at.answer("one")
	want(t, one, "one")
	at.nothing()
}

// TestTheAnswerMayArriveBeforeTheLeaderKnowsThatItSent: a caller that joins until then
// is sent.
func TestTheAnswerMayArriveBeforeTheLeaderKnowsThatItSent(t *testing.T) {
	c, p := puppeteer(t, time.Minute, time.Hour)
	l, err := c.group.endpoint.dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	slow := &slowWriter{Conn: l.conn, written: make(chan struct{}), free: make(chan struct{})}
	l.conn = slow
	if err := c.group.open(l); err != nil {
		t.Fatal(err)
	}
	at := p.accept()
	one := ask(t.Context(), c, "one")
	<-slow.written
	at.answer(at.expect(1)...)
	await(t, c.group, func() bool { return len(c.group.line.pending) == 0 })
	two := ask(t.Context(), c, "two")
	awaitWaiting(t, c.group, 1)
	close(slow.free)
	<-slow.written
	at.answer(at.expect(1)...)
	want(t, one, "one")
	want(t, two, "two")
}

// slowWriter is a connection whose writes return when free is closed.
type slowWriter struct {
	net.Conn

	written, free chan struct{}
}

func (s *slowWriter) Write(b []byte) (int, error) {
	n, err := s.Conn.Write(b)
	s.written <- struct{}{}
	<-s.free
	return n, err
}
