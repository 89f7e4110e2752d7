package redisconn_test

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"

	"osgate/internal/redisconn"
	"osgate/internal/redisconn/redistest"
)

// asker is a rider with a question: the length of a list, to which each batch adds one
// element.
type asker struct {
	join func(r *redisconn.Request)

	question *lengthQuestion
	told     []error
}

func (a *asker) Queue(context.Context, redis.Pipeliner) {}
func (a *asker) Done(err error)                         { a.told = append(a.told, err) }

func (a *asker) Share() (q redisconn.Question, alone bool) {
	a.question = &lengthQuestion{join: a.join}
	return a.question, true
}

type lengthQuestion struct {
	join   func(r *redisconn.Request)
	asked  int // questions of the batch
	length int
}

func (q *lengthQuestion) Join(batch []redisconn.Question, r *redisconn.Request) redisconn.Joint {
	if q.join != nil {
		q.join(r)
	} else {
		r.Command("rpush", 3)
		r.Text("list")
		r.Int(1)
	}
	return lengthJoint(batch)
}

type lengthJoint []redisconn.Question

func (j lengthJoint) Answer(replies *redisconn.Replies) {
	length := replies.Int()
	for _, q := range j {
		if one, ok := q.(*lengthQuestion); ok {
			one.length, one.asked = length, len(j)
		}
	}
}

// count is a script that counts.
var count = redisconn.NewScript(`return redis.call("INCR", KEYS[1])`)

func ignore(*redisconn.Replies) error { return nil }

// TestQuestionsOfABatchAreAskedOnce: while Redis is busy, callers become one batch. Each
// gets its own answer and the common one.
func TestQuestionsOfABatchAreAskedOnce(t *testing.T) {
	s := redistest.Start(t)
	c, _ := open(t, s.URL())
	if err := c.Eval(t.Context(), count, "n", ignore); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	const callers, each = 16, 200
	for n := range callers {
		all.Go(func() {
			for i := 1; i <= each; i++ {
				a := &asker{}
				own := 0
				err := c.Eval(c.WithRider(t.Context(), a), count, "n"+strconv.Itoa(n), func(r *redisconn.Replies) error {
					own = r.Int()
					return r.Err()
				})
				if err != nil || own != i {
					t.Errorf("its own answer: %d, %v, want %d", own, err, i)
				}
				if len(a.told) != 1 || a.told[0] != nil || a.question.length < 1 || a.question.asked > callers {
					t.Errorf("told %v, answered %+v", a.told, a.question)
				}
			}
		})
	}
	all.Wait()
	if length, _ := strconv.Atoi(s.Do("LLEN", "list")); length == 0 || length >= callers*each/2 {
		t.Errorf("%d commands for %d questions, want fewer: no batch shared them", length, callers*each)
	}
}

func TestQuestionChangesNothingForItsCarrier(t *testing.T) {
	s := redistest.Start(t)
	c, changes := open(t, s.URL())
	ask := func(join func(r *redisconn.Request)) (*asker, error) {
		a := &asker{join: join}
		return a, c.Eval(c.WithRider(t.Context(), a), count, "n", ignore)
	}
	if a, err := ask(func(r *redisconn.Request) {
		r.Command("rpush", 3)
		panic("thrown")
	}); err != nil || a.told[1] != nil || a.question.asked != 0 {
		t.Errorf("a panic: %v, told %v, answered %+v", err, a.told, a.question)
	}
	readOnly := redisconn.NewScript("return 1")
	s.Do("REPLICAOF", "127.0.0.1", "1")
	for range 10 {
		a := &asker{}
		if err := c.Eval(c.WithRider(t.Context(), a), readOnly, "n", ignore); err != nil || !errors.Is(a.told[len(a.told)-1], redisconn.ErrDown) {
			t.Errorf("an outage: %v, told %v", err, a.told)
		}
	}
	if len(changes) != 0 || !c.State().OK {
		t.Errorf("the state is %+v after %d changes", c.State(), len(changes))
	}
}

func TestQuestionsAreAskedAlone(t *testing.T) {
	s := redistest.Start(t)
	c, changes := open(t, s.URL())
	q := &lengthQuestion{}
	if err := c.Ask(t.Context(), "list", q); err != nil || q.length != 1 {
		t.Errorf("%v, answered %+v", err, q)
	}
	s.Do("REPLICAOF", "127.0.0.1", "1")
	down := func() error { return c.Ask(t.Context(), "list", &lengthQuestion{}) }
	if err := down(); !errors.Is(err, redisconn.ErrDown) {
		t.Errorf("an outage: %v", err)
	}
	askUntil(t, down, changes)
}

// TestQuestionIsLeftToTheRiderWithoutAGroup.
func TestQuestionIsLeftToTheRiderWithoutAGroup(t *testing.T) {
	s := redistest.Start(t)
	c, err := redisconn.Open(redisconn.Options{URL: s.URL(), Timeout: patience})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	a := &asker{}
	if err := c.Eval(c.WithRider(t.Context(), a), count, "n", ignore); err != nil || a.question != nil {
		t.Errorf("%v, asked %+v", err, a.question)
	}
}
