package gateway

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"osgate/admin"
	"osgate/stats"
)

// asked is a query for the last day, to the second at which it is sent.
func asked(store string) stats.HistoryQuery {
	now := time.Now()
	return stats.HistoryQuery{Plane: "us", Store: store, From: now.Add(-24 * time.Hour), To: now}
}

func TestManyViewersOfOneHistoryCostOneReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHistories(newTurns())
		var readings atomic.Int64
		read := func(context.Context) (admin.History, error) {
			<-time.After(time.Second)
			return admin.History{Children: []admin.Child{{Name: fmt.Sprint("reading ", readings.Add(1))}}}, nil
		}
		began := time.Now()
		look := func(want int) {
			t.Helper()
			said, err := h.of(t.Context(), asked("store"), read)
			if name := fmt.Sprint("reading ", want); err != nil || said.Children[0].Name != name {
				t.Errorf("after %v: %+v, %v; want %s", time.Since(began), said, err, name)
			}
		}
		var viewers sync.WaitGroup
		for range 16 {
			viewers.Go(func() { look(1) })
			<-time.After(10 * time.Millisecond)
		}
		viewers.Wait()
		<-time.After(time.Until(began.Add(6*time.Second - time.Millisecond)))
		look(1) // at most 5 s old
		<-time.After(time.Millisecond)
		look(2)
	})
}

func TestHistoriesAreReadTwoAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHistories(newTurns())
		var under, most, late atomic.Int64
		read := func(context.Context) (admin.History, error) {
			most.Store(max(most.Load(), under.Add(1)))
			defer under.Add(-1)
			<-time.After(2 * time.Second)
			return admin.History{}, nil
		}
		began := time.Now()
		var viewers sync.WaitGroup
		for i := range 20 {
			viewers.Go(func() {
				if _, err := h.of(t.Context(), asked(fmt.Sprint(i)), read); errors.Is(err, context.DeadlineExceeded) {
					late.Add(1)
				}
			})
		}
		viewers.Wait()
		// In 15 s eight pairs get their turn; the last pair ends a second later.
		if took := time.Since(began); most.Load() != 2 || late.Load() != 4 || took != 16*time.Second {
			t.Errorf("%d at a time, %d of 20 in vain, in %v; want 2, 4 and 16s", most.Load(), late.Load(), took)
		}
	})
}

func TestAViewerThatLeavesDoesNotAbortTheReadingOfOthers(t *testing.T) {
	h := newHistories(newTurns())
	ctx, leave := context.WithCancel(t.Context())
	_, err := h.of(ctx, asked("store"), func(ctx context.Context) (admin.History, error) {
		leave()
		return admin.History{}, ctx.Err()
	})
	if err != nil {
		t.Errorf("the reading ended with its first viewer: %v", err)
	}
}

func TestHistoryThatCouldNotBeReadIsReadAgain(t *testing.T) {
	h, down := newHistories(newTurns()), errors.New("redis is down")
	for _, want := range []error{down, down, nil} {
		if _, err := h.of(t.Context(), asked("store"), func(context.Context) (admin.History, error) { return admin.History{}, want }); !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
	}
}

func TestHeldHistoriesAreBoundedAndForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHistories(newTurns())
		read := func(context.Context) (admin.History, error) { return admin.History{}, nil }
		for i := range 100 {
			if _, err := h.of(t.Context(), asked(fmt.Sprint(i)), read); err != nil || len(h.held) > 16 {
				t.Fatalf("%d are held, %v; want 16 at most", len(h.held), err)
			}
		}
		<-time.After(historyFresh)
		if _, err := h.of(t.Context(), asked("last"), read); err != nil || len(h.held) != 1 {
			t.Errorf("%d are held, %v; want the last alone", len(h.held), err)
		}
	})
}

func TestQueriesWithOneAnswerAreOne(t *testing.T) {
	at := time.Date(2026, 3, 10, 10, 20, 30, 0, time.UTC)
	base := stats.HistoryQuery{Plane: "us", Organization: "org", Period: stats.Hour, From: at.Add(-24 * time.Hour), To: at}
	with := func(change func(*stats.HistoryQuery)) string {
		q := base
		change(&q)
		return historyKey(q)
	}
	same := with(func(q *stats.HistoryQuery) { q.From, q.To = q.From.Add(10*time.Second), q.To.Add(10*time.Second) })
	if want := historyKey(base); same != want {
		t.Errorf("ten seconds later it is %s, want %s", same, want)
	}
	keys := map[string]string{historyKey(base): "base"}
	for name, change := range map[string]func(*stats.HistoryQuery){
		"the next hour":   func(q *stats.HistoryQuery) { q.To = q.To.Add(time.Hour) },
		"an hour earlier": func(q *stats.HistoryQuery) { q.From = q.From.Add(-time.Hour) },
		"by the day":      func(q *stats.HistoryQuery) { q.Period = stats.Day },
		"another plane":   func(q *stats.HistoryQuery) { q.Plane = "eu" },
		"shifted names":   func(q *stats.HistoryQuery) { q.Organization, q.Environment = "", "org" },
		"joined names":    func(q *stats.HistoryQuery) { q.Organization = `org" "env` },
		"an environment":  func(q *stats.HistoryQuery) { q.Environment = "env" },
		"a region":        func(q *stats.HistoryQuery) { q.Region = "us-east-1" },
		"a store":         func(q *stats.HistoryQuery) { q.Store = "store" },
		"one hour alone":  func(q *stats.HistoryQuery) { q.From = q.To },
		"backwards":       func(q *stats.HistoryQuery) { q.From = q.To.Add(time.Second) },
	} {
		key := with(change)
		if other, taken := keys[key]; taken {
			t.Errorf("%s and %s have one key: %s", name, other, key)
		}
		keys[key] = name
	}
}
