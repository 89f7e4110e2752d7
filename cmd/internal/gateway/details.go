package gateway

import (
	"slices"
	"time"

	"osgate/admin"
	"osgate/policy"
	"osgate/telemetry/board"
)

// details returns what the page shows of one thing.
type details struct{ *Gateway }

// Client implements [admin.Details].
func (d details) Client(now time.Time, id string) (any, bool) { return d.board.Client(now, id) }

// Store implements [admin.Details].
func (d details) Store(now time.Time, at admin.Scope) (any, bool) {
	return d.board.Store(now, board.Place{
		Plane: at.Plane, Region: at.Region, Organization: at.Organization, Environment: at.Environment, Store: at.Store,
	})
}

// Request implements [admin.Details].
func (d details) Request(id string) (any, bool) { return d.board.Refused(id) }

// Search implements [admin.Details].
func (d details) Search(text string) any { return d.board.Search(text, d.names.Of) }

// Names implements [admin.Details].
func (d details) Names(ids []string) map[string]string { return d.named(slices.Values(ids)) }

// policyRule is a rule with its counts in this process.
type policyRule struct {
	policy.Rule
	Decided int64 `json:"decided"`  // requests that it permitted or denied since the start
	Window  int64 `json:"window"`   // the same in the last minute
	Shadow  int64 `json:"shadowed"` // requests that it would have denied, since the start
	Errors  int64 `json:"errors"`   // evaluations that failed, since the start
}

// policyRules is the answer of /api/policy.
type policyRules struct {
	Files  int          `json:"files"`
	Loaded time.Time    `json:"loaded,omitzero"`
	Hash   string       `json:"hash,omitempty"`
	Shadow bool         `json:"shadow"` // all rules are in shadow mode
	Rules  []policyRule `json:"rules"`  // at most maxPolicyRules
	All    int          `json:"all"`    // number of all rules
}

// maxPolicyRules is the number of rules that are listed.
const maxPolicyRules = 500

// Policy implements [admin.Details].
func (d details) Policy(now time.Time) any {
	state, list, traffic := d.policy.State(), d.policy.Rules().List(), d.board.Snapshot(now)
	shown := policyRules{
		Files: state.Files, Loaded: state.Loaded, Hash: state.Hash, Shadow: state.Shadow,
		All: len(list), Rules: []policyRule{},
	}
	for _, r := range list[:min(len(list), maxPolicyRules)] {
		decided, shadowed := countOf(traffic.Rules, r.ID), countOf(traffic.Shadow, r.ID)
		failed := countOf(traffic.PolicyErrors, r.ID)
		shown.Rules = append(shown.Rules, policyRule{
			Rule: r, Decided: decided.Total, Window: decided.Window, Shadow: shadowed.Total, Errors: failed.Total,
		})
	}
	return shown
}

// countOf returns the counts of a rule, zero if there are none.
func countOf(counts []board.RuleCount, id string) board.RuleCount {
	i := slices.IndexFunc(counts, func(c board.RuleCount) bool { return c.Rule == id })
	if i < 0 {
		return board.RuleCount{}
	}
	return counts[i]
}
