package e2e

import (
	"cmp"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// partitionState is the state of one partition: whether it exists, and its values by
// key, 0 for a key that does not exist. Lists and deletions concern all keys of a
// partition, so that histories are split by partition and not by key.
type partitionState struct {
	exists bool
	values [historyKeys]int32
}

// storeModel is the sequential model: a store without a cache, which executes one
// request after the other.
var storeModel = porcupine.Model{
	Partition: func(all []porcupine.Operation) [][]porcupine.Operation {
		parts := make([][]porcupine.Operation, historyPartitions)
		for _, o := range all {
			p := requestOf(o).partition
			parts[p] = append(parts[p], o)
		}
		return parts
	},
	Init: func() any { return partitionState{} },
	Step: func(state, input, output any) (bool, any) {
		s, _ := state.(partitionState)
		q, _ := input.(historyRequest)
		o, _ := output.(outcome)
		return s.execute(q, o)
	},
	Hash: func(state any) uint64 {
		s, _ := state.(partitionState)
		hash := uint64(1)
		for _, v := range s.values {
			hash = hash*1_000_003 + uint64(v)
		}
		return hash
	},
	DescribeOperation: describe,
	DescribeState:     func(state any) string { return fmt.Sprint(state) },
}

func requestOf(o porcupine.Operation) historyRequest {
	q, _ := o.Input.(historyRequest)
	return q
}

func describe(input, output any) string {
	q, _ := input.(historyRequest)
	o, _ := output.(outcome)
	text := fmt.Sprintf("%v %d/%d", q.operation, q.partition, q.key)
	if q.operation == putKey {
		text += fmt.Sprintf(" := %d", q.value)
	}
	switch {
	case o.status == 0:
		return text + " -> ?"
	case q.operation == listKeys:
		return fmt.Sprintf("%s -> %d %0*b", text, o.status, historyKeys, o.keys)
	default:
		return fmt.Sprintf("%s -> %d %d", text, o.status, o.value)
	}
}

// execute executes one request on a state, and reports whether the response is correct
// for it. A write of unknown outcome is correct in any state; a write that never took
// effect is ordered last.
func (s partitionState) execute(q historyRequest, o outcome) (legal bool, next partitionState) {
	next = s
	held := s.values[q.key] != 0
	switch q.operation {
	case getKey, getKeyNoCache:
		return o.value == s.values[q.key] && (o.status == http.StatusOK) == held, s
	case headKey:
		return (o.status == http.StatusNoContent) == held, s
	case listKeys:
		return o.keys == s.keys() && (o.status == http.StatusOK) == s.exists, s
	case putKey:
		next.exists, next.values[q.key] = true, q.value
		legal = (o.status == http.StatusOK) == held
	case deleteKey:
		next.values[q.key] = 0
		legal = (o.status == http.StatusNoContent) == held
	case deleteKeys, deletePartition:
		next = partitionState{exists: s.exists && q.operation == deleteKeys}
		legal = (o.status == http.StatusNoContent) == s.exists
	}
	return legal || o.status == 0, next
}

// keys returns a bit for each key that exists.
func (s partitionState) keys() (keys uint8) {
	for i, v := range s.values {
		if v != 0 {
			keys |= 1 << i
		}
	}
	return keys
}

// check is the result of the checker for a history.
func (h *history) check() porcupine.CheckResult {
	h.mu.Lock()
	defer h.mu.Unlock()
	return porcupine.CheckOperationsTimeout(storeModel, h.operations, testTimeout)
}

// checkLinearizable fails the test if the history is not linearizable, and reports the
// request that no order explains.
func (h *history) checkLinearizable(t *testing.T) {
	t.Helper()
	for _, odd := range h.invalid[:min(len(h.invalid), 5)] {
		t.Errorf("no client should receive this answer: %s", odd)
	}
	began := time.Now()
	switch verdict := h.check(); verdict {
	case porcupine.Ok:
		t.Logf("%v; checked in %v", h.counts, time.Since(began).Round(time.Millisecond))
	case porcupine.Illegal:
		t.Errorf("NOT linearizable: %v", h.counts)
		h.logViolation(t)
	default:
		t.Errorf("the checker did not finish within %v: %v", testTimeout, h.counts)
	}
}

// logViolation logs the request that no order explains, with the requests that affect
// it, and writes a drawing of the history to a file, which is kept.
func (h *history) logViolation(t *testing.T) {
	t.Helper()
	for _, part := range storeModel.Partition(h.operations) {
		verdict, info := porcupine.CheckOperationsVerbose(storeModel, part, testTimeout)
		if verdict != porcupine.Illegal {
			continue
		}
		if file, err := os.CreateTemp("", "osgate-history-*.html"); err == nil { //nolint:usetesting // it is looked at when the test is over
			t.Logf("drawn in %s (%v)", file.Name(), porcupine.Visualize(storeModel, info, file))
			_ = file.Close()
		}
		longest := slices.MaxFunc(info.PartialLinearizationsOperations()[0], func(a, b []porcupine.Operation) int { return cmp.Compare(len(a), len(b)) })
		t.Log(operationsAround(part, longest))
		return
	}
}

// operationsAround returns the first operation of a partition that a linearization does
// not reach, with those before it, and all earlier operations of unknown outcome.
func operationsAround(part, reached []porcupine.Operation) string {
	rest := slices.Clone(part)
	for _, o := range reached {
		if i := slices.Index(rest, o); i >= 0 {
			rest = slices.Delete(rest, i, i+1)
		}
	}
	if len(rest) == 0 {
		return ""
	}
	unexplained := slices.MinFunc(rest, func(a, b porcupine.Operation) int { return cmp.Compare(a.Return, b.Return) })
	const before = 40
	slices.SortFunc(part, func(a, b porcupine.Operation) int { return cmp.Compare(a.Call, b.Call) })
	until := slices.Index(part, unexplained)
	var text strings.Builder
	for i, o := range part[:until+1] {
		if told, _ := o.Output.(outcome); told.status != 0 && i < until-before {
			continue
		}
		mark := " "
		if slices.Contains(rest, o) {
			mark = "!"
		}
		fmt.Fprintf(&text, "\n%s client %4d  %v … %v  %s", mark, o.ClientId, time.Duration(o.Call), time.Duration(o.Return), describe(o.Input, o.Output))
	}
	return text.String()
}

// TestCheckerRejectsHistoriesThatAreNotLinearizable checks short histories that are
// linearizable, and some that are not.
func TestCheckerRejectsHistoriesThatAreNotLinearizable(t *testing.T) {
	t.Parallel()
	type step struct {
		from, to int64 // to 0: unknown
		historyRequest
		outcome
	}
	put := func(from, to int64, status int, value int32) step {
		return step{from, to, historyRequest{operation: putKey, value: value}, outcome{status: status}}
	}
	ask := func(from, to int64, v operation, status int) step {
		return step{from, to, historyRequest{operation: v}, outcome{status: status}}
	}
	get := func(from, to int64, value int32) step {
		return step{from, to, historyRequest{}, outcome{status: 200, value: value}}
	}
	list := func(from, to int64, keys uint8) step {
		return step{from, to, historyRequest{operation: listKeys}, outcome{status: 200, keys: keys}}
	}
	truth, lie := porcupine.Ok, porcupine.Illegal
	for name, tt := range map[string]struct {
		steps []step
		want  porcupine.CheckResult
	}{
		"read after write":                         {[]step{put(1, 2, 201, 1), get(3, 4, 1)}, truth},
		"stale read":                               {[]step{put(1, 2, 201, 1), put(3, 4, 200, 2), get(5, 6, 1)}, lie},
		"reads during a write":                     {[]step{put(1, 2, 201, 1), put(3, 9, 200, 2), get(4, 5, 1), get(6, 7, 2)}, truth},
		"a read after another":                     {[]step{put(1, 2, 201, 1), put(3, 9, 200, 2), get(4, 5, 2), get(6, 7, 1)}, lie},
		"unknown, and never read":                  {[]step{put(1, 2, 201, 1), put(3, 0, 0, 2), get(5, 6, 1)}, truth},
		"unknown, and read late":                   {[]step{put(1, 2, 201, 1), put(3, 0, 0, 2), get(5, 6, 1), get(7, 8, 2)}, truth},
		"unknown, and read, absent and read again": {[]step{put(1, 2, 201, 1), put(3, 0, 0, 2), get(5, 6, 2), get(7, 8, 1)}, lie},
		"a value that no client wrote":             {[]step{put(1, 2, 201, 1), get(3, 4, 7)}, lie},
		"absent key":                               {[]step{ask(1, 2, getKey, 404), ask(3, 4, headKey, 404)}, truth},
		"absent after a write":                     {[]step{put(1, 2, 201, 1), ask(3, 4, getKey, 404)}, lie},
		"HEAD of a deleted key":                    {[]step{put(1, 2, 201, 1), ask(3, 4, deleteKey, 204), ask(5, 6, headKey, 204)}, lie},
		"list without a written key":               {[]step{put(1, 2, 201, 1), list(3, 4, 0)}, lie},
		"list":                                     {[]step{put(1, 2, 201, 1), list(3, 4, 1)}, truth},
		"list of a deleted partition":              {[]step{put(1, 2, 201, 1), ask(3, 4, deletePartition, 204), list(5, 6, 1)}, lie},
		"partition that stays":                     {[]step{put(1, 2, 201, 1), ask(3, 4, deleteKeys, 204), list(5, 6, 0)}, truth},
		"partition that goes":                      {[]step{put(1, 2, 201, 1), ask(3, 4, deletePartition, 204), list(5, 6, 0)}, lie},
		"a key of a deleted partition":             {[]step{put(1, 2, 201, 1), ask(3, 4, deletePartition, 204), get(5, 6, 1)}, lie},
		"created twice":                            {[]step{put(1, 2, 201, 1), put(3, 4, 201, 2)}, lie},
	} {
		h := newHistory("model")
		for i, s := range tt.steps {
			if s.to == 0 {
				s.to = 1 << 60
			}
			h.operations = append(h.operations, porcupine.Operation{ClientId: i, Input: s.historyRequest, Output: s.outcome, Call: s.from, Return: s.to})
		}
		if got := h.check(); got != tt.want {
			t.Errorf("%s: the result is %v, want %v", name, got, tt.want)
		}
	}
}
