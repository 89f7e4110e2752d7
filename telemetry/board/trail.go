package board

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"time"

	"osgate/record"
)

// The sizes of a trail: 15 minutes in steps, and the names that it counts.
const (
	trailSeconds = 15
	trailSteps   = 15 * 60 / trailSeconds
	maxTallies   = 8
)

// trail is what a client or a store has done since it is counted. Its size is fixed. It
// is not safe for concurrent use.
type trail struct {
	first  time.Time
	steps  [trailSteps]trailStep
	newest int64 // the number of the current step

	place *Place // of a store
	rule  string // the policy rule that decided last, for a client

	operations, codes tallies
	stores            [maxTallies]storeTally // of a client
	received, sent    int64                  // bytes of bodies
}

// trailStep contains the counts of one step.
type trailStep struct {
	requests, special uint32 // as in recent
	remaining         int32  // the lowest rest of the quota, plus one; 0: none was charged
}

// tallies counts events by name. Names beyond its room are not counted.
type tallies [maxTallies]struct {
	name string
	n    int64
}

// storeTally counts the requests of a client to one store.
type storeTally struct {
	at             *Place
	requests, hits int64
}

// keep counts x in second n.
func (t *trail) keep(n int64, x *record.Exchange, special bool) {
	s := t.at(n / trailSeconds)
	s.requests++
	if special {
		s.special++
	}
	if x.Charged && (s.remaining == 0 || int32(x.Remaining) < s.remaining-1) {
		s.remaining = int32(min(max(x.Remaining, 0), math.MaxInt32-1)) + 1
	}
	t.operations.add(x.Operation)
	t.codes.add(string(x.Code))
	t.received += x.RequestBytes
	t.sent += x.ResponseBytes
	if rule := record.ShortName(x.Rule); rule != "" && rule != t.rule {
		t.rule = strings.Clone(rule)
	}
}

// at returns the step with that number, cleared if it is new.
func (t *trail) at(n int64) *trailStep { return slot(t.steps[:], &t.newest, n) }

// add counts an event. An empty name counts nothing.
func (t *tallies) add(name string) {
	if name == "" {
		return
	}
	for i := range t {
		if t[i].n == 0 {
			t[i].name = name // one of the gateway's own names, not of the request
		}
		if t[i].name == name {
			t[i].n++
			return
		}
	}
}

// visit counts a request to a store. If there is no room, the store with the fewest
// requests makes room.
func (t *trail) visit(at *Place, hit bool) {
	least := 0
	for i := range t.stores {
		s := &t.stores[i]
		if s.at == at || s.at != nil && *s.at == *at {
			s.requests++
			if hit {
				s.hits++
			}
			return
		}
		if s.requests < t.stores[least].requests {
			least = i
		}
	}
	t.stores[least] = storeTally{at: at, requests: 1}
	if hit {
		t.stores[least].hits = 1
	}
}

// Tally is how often an event occurred.
type Tally struct {
	Name  string `json:"name"`
	Count int64  `json:"count"`
}

// rows returns the counts, the largest first; never nil.
func (t *tallies) rows() []Tally {
	rows := []Tally{}
	for _, one := range t {
		if one.n > 0 {
			rows = append(rows, Tally{one.name, one.n})
		}
	}
	slices.SortFunc(rows, func(a, b Tally) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(a.Name, b.Name))
	})
	return rows
}

// Trail contains the last 15 minutes of a client or a store in steps, and counts since
// the board knows it. All series have the same length, the oldest step first; the last
// one is the current, incomplete one.
type Trail struct {
	Since time.Time `json:"since"` // the first exchange that is counted
	Step  int       `json:"step"`  // length of a step in seconds: 15
	End   time.Time `json:"end"`   // of the last step

	Requests  Series `json:"requests"`            // per second
	Refused   Series `json:"refused,omitempty"`   // per second, of a client
	Remaining Series `json:"remaining,omitempty"` // the lowest rest of a client's quota; null: it was not charged
	Hits      Series `json:"hits,omitempty"`      // per second, of a store

	Operations []Tally `json:"operations"`
	Codes      []Tally `json:"codes"`    // of refusals and errors
	Received   int64   `json:"received"` // bytes of bodies from clients
	Sent       int64   `json:"sent"`     // bytes of bodies to clients
}

// show returns t as of second n, which now is part of.
func (t *trail) show(now time.Time, n int64) Trail {
	t.at(n / trailSeconds) // clears steps without requests
	shown := Trail{
		Since: t.first, Step: trailSeconds, End: now.Add(time.Duration(trailSeconds-n%trailSeconds) * time.Second),
		Operations: t.operations.rows(), Codes: t.codes.rows(), Received: t.received, Sent: t.sent,
	}
	for _, s := range t.last() {
		shown.Requests = append(shown.Requests, perSecond(s.requests))
	}
	return shown
}

// last returns the steps, the oldest first, without those before the board's start.
func (t *trail) last() []trailStep {
	var steps []trailStep
	for n := max(0, t.newest-trailSteps+1); n <= t.newest; n++ {
		steps = append(steps, t.steps[n%trailSteps])
	}
	return steps
}

func perSecond(n uint32) float64 { return float64(n) / trailSeconds }
