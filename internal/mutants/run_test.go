package main

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestAQueueEndsAtItsBounds(t *testing.T) {
	now := time.Now()
	tests := []struct {
		name string
		most int
		end  time.Time
		want int
	}{
		{"all", 0, now.Add(time.Hour), 10},
		{"a sample", 4, now.Add(time.Hour), 4},
		{"time is over", 0, now, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			q := &queue{most: tt.most, end: tt.end, mutations: make([]Mutation, 10)}
			n := 0
			for _, ok := q.next(now); ok; _, ok = q.next(now) {
				n++
			}
			if n != tt.want {
				t.Errorf("%d mutations, want %d", n, tt.want)
			}
		})
	}
}

func TestMutantThatDoesNotCompileIsReplaced(t *testing.T) {
	q := &queue{most: 3, end: time.Now().Add(time.Hour)}
	for i := range 10 {
		q.mutations = append(q.mutations, Mutation{Line: i})
	}
	judge := func(m Mutation) (Trial, error) {
		if m.Line%2 == 0 {
			return Trial{m, NotCompiled, ""}, nil
		}
		return Trial{m, Killed, ""}, nil
	}
	var got []string
	if err := q.work(1, judge, func(trial Trial) { got = append(got, fmt.Sprint(trial.Line, " ", trial.Verdict)) }); err != nil {
		t.Fatal(err)
	}
	want := []string{"0 does not compile", "1 killed", "2 does not compile", "3 killed", "4 does not compile", "5 killed"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("trials (-want +got):\n%s", diff)
	}
}

func TestAnErrorEndsTheWork(t *testing.T) {
	q := &queue{end: time.Now().Add(time.Hour), mutations: make([]Mutation, 10)}
	broken, calls := errors.New("no space"), 0
	err := q.work(1, func(Mutation) (Trial, error) { calls++; return Trial{}, broken }, func(Trial) { t.Error("a trial was reported") })
	if !errors.Is(err, broken) || calls != 1 {
		t.Errorf("error %v after %d calls, want %v after one", err, calls, broken)
	}
}

func TestTheScoreLeavesEquivalentsOut(t *testing.T) {
	tests := []struct {
		verdicts []Verdict
		want     string
	}{
		{nil, "-"},
		{[]Verdict{Equivalent}, "-"},
		{[]Verdict{Killed, TimedOut, Killed, Survived, Equivalent, Equivalent}, "75 %"},
		{[]Verdict{Killed, NotCovered}, "50 %"},
	}
	for _, tt := range tests {
		var r Result
		for _, v := range tt.verdicts {
			r.Trials = append(r.Trials, Trial{Verdict: v})
		}
		if got := r.score(); got != tt.want {
			t.Errorf("%v: score %s, want %s", tt.verdicts, got, tt.want)
		}
	}
}
