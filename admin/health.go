package admin

import (
	"slices"
	"strings"
	"time"
)

// State is how a part of the gateway, or something that it needs, fares.
type State string

// The states of a part. One that is idle has not been used lately, so that nothing is known of it.
const (
	PartOK       State = "ok"
	PartDegraded State = "degraded"
	PartDown     State = "down"
	PartIdle     State = "idle"
)

// Part is how one part fares, for operators. Empty fields are left out of the JSON.
type Part struct {
	Name    string    `json:"part"` // "redis", "control plane us", "region eu/eu-west-1", as in [Reason]
	State   State     `json:"state"`
	Detail  string    `json:"detail"` // a sentence for people
	Since   time.Time `json:"since,omitzero"`
	Latency *Latency  `json:"latencyMs,omitempty"` // nil: nothing was timed in the last minute
	Breaker string    `json:"breaker,omitempty"`   // "closed", "open" or "half-open"; empty: there is none

	// Of a region alone: how often it was asked in the last minute, and how often that failed.
	Requests *int64 `json:"requests,omitempty"`
	Errors   *int64 `json:"errors,omitempty"`
}

// Latency is milliseconds that half, 95 and 99 of a hundred durations of the last minute did not exceed.
type Latency struct {
	Count int64   `json:"count"`
	P50   float64 `json:"p50"`
	P95   float64 `json:"p95"`
	P99   float64 `json:"p99"`
}

// Health is how the gateway fares as a whole and by its parts. Make it by [NewHealth].
type Health struct {
	Status  Status   `json:"status"`
	Summary string   `json:"summary"` // one line for people
	Reasons []Reason `json:"reasons"` // what is not as it should be; never nil
	Parts   []Part   `json:"parts"`   // never nil
}

// NewHealth joins what /readyz says with the state of the parts. A part that is degraded or down, and of which r says nothing, is one more reason; with any
// reason a gateway that is ready is degraded.
func NewHealth(r Readiness, parts []Part) Health {
	h := Health{Status: r.Status, Reasons: append([]Reason{}, r.Reasons...), Parts: append([]Part{}, parts...)}
	for _, p := range parts {
		told := slices.ContainsFunc(r.Reasons, func(reason Reason) bool { return reason.Part == p.Name })
		if !told && p.troubled() {
			h.Reasons = append(h.Reasons, Reason{Part: p.Name, Detail: p.Detail})
		}
	}
	if h.Status == Ready && len(h.Reasons) > 0 {
		h.Status = Degraded
	}
	h.Summary = h.summary()
	return h
}

func (p Part) troubled() bool { return p.State == PartDegraded || p.State == PartDown }

// summary says in one line what is wrong.
func (h Health) summary() string {
	switch {
	case h.Status == Starting:
		return "Starting: nothing is served yet"
	case h.Status == Draining:
		return "Stopping: what is under way is served, nothing new"
	case len(h.Reasons) == 0:
		return "Everything works"
	}
	troubles := make([]string, 0, len(h.Reasons))
	for _, reason := range h.Reasons {
		troubles = append(troubles, reason.Part+" is "+string(h.state(reason.Part)))
	}
	line := strings.Join(troubles, ", ")
	return strings.ToUpper(line[:1]) + line[1:]
}

// state returns the state of a part; one that is a reason and in no list is degraded.
func (h Health) state(part string) State {
	at := slices.IndexFunc(h.Parts, func(p Part) bool { return p.Name == part && p.troubled() })
	if at < 0 {
		return PartDegraded
	}
	return h.Parts[at].State
}
