package admin

import (
	"slices"
	"strings"
	"time"
)

// State is the state of a part of the gateway, or of a service that it needs.
type State string

// The states of a part. An idle part was not used recently, so its state is not known.
const (
	PartOK       State = "ok"
	PartDegraded State = "degraded"
	PartDown     State = "down"
	PartIdle     State = "idle"
)

// Part is the state of one part, for operators. Empty fields are left out of the JSON.
type Part struct {
	Name    string    `json:"part"` // "redis", "control plane us", "region eu/eu-west-1", as in [Reason]
	State   State     `json:"state"`
	Detail  string    `json:"detail"` // a sentence for people
	Since   time.Time `json:"since,omitzero"`
	Latency *Latency  `json:"latencyMs,omitempty"` // nil: no durations in the last minute
	Breaker string    `json:"breaker,omitempty"`   // "closed", "open" or "half-open"; empty: no breaker

	// Only for a region: the number of requests sent to it in the last minute, and how
	// many of them failed.
	Requests *int64 `json:"requests,omitempty"`
	Errors   *int64 `json:"errors,omitempty"`
}

// Latency contains quantiles of the durations of the last minute, in milliseconds: the
// median, the 95th and the 99th percentile.
type Latency struct {
	Count int64   `json:"count"`
	P50   float64 `json:"p50"`
	P95   float64 `json:"p95"`
	P99   float64 `json:"p99"`
}

// Health is the state of the gateway as a whole and of its parts. [NewHealth] makes it.
type Health struct {
	Status  Status   `json:"status"`
	Summary string   `json:"summary"` // one line for people
	Reasons []Reason `json:"reasons"` // the problems; never nil
	Parts   []Part   `json:"parts"`   // never nil
}

// NewHealth combines the result of /readyz with the states of the parts. A part that is
// degraded or down and has no reason in r adds a reason. A ready gateway with any
// reason is degraded.
func NewHealth(r Readiness, parts []Part) Health {
	h := Health{Status: r.Status, Reasons: append([]Reason{}, r.Reasons...), Parts: append([]Part{}, parts...)}
	for _, p := range parts {
		listed := slices.ContainsFunc(r.Reasons, func(reason Reason) bool { return reason.Part == p.Name })
		if !listed && p.failing() {
			h.Reasons = append(h.Reasons, Reason{Part: p.Name, Detail: p.Detail})
		}
	}
	if h.Status == Ready && len(h.Reasons) > 0 {
		h.Status = Degraded
	}
	if h.Summary = h.summary(); r.Status == Draining && len(r.Reasons) > 0 { // a process that ends has none
		h.Summary = "Withdrawn by an operator: requests that arrive are served"
	}
	return h
}

func (p Part) failing() bool { return p.State == PartDegraded || p.State == PartDown }

// summary describes the problems in one line.
func (h Health) summary() string {
	switch {
	case h.Status == Starting:
		return "Starting: requests are not served yet"
	case h.Status == Draining:
		return "Stopping: current requests are finished, new ones are refused"
	case len(h.Reasons) == 0:
		return "Everything works"
	}
	failing := make([]string, 0, len(h.Reasons))
	for _, reason := range h.Reasons {
		failing = append(failing, reason.Part+" is "+string(h.state(reason.Part)))
	}
	line := strings.Join(failing, ", ")
	return strings.ToUpper(line[:1]) + line[1:]
}

// state returns the state of a part. A part that has a reason and is not listed as
// failing is degraded.
func (h Health) state(part string) State {
	at := slices.IndexFunc(h.Parts, func(p Part) bool { return p.Name == part && p.failing() })
	if at < 0 {
		return PartDegraded
	}
	return h.Parts[at].State
}
