package policy

import (
	"net/netip"
	"time"

	"osgate/auth"
	"osgate/objectstore"
)

// Request is what a decision is made of. A fact that no rule [Needs] may be left out.
type Request struct {
	Principal *auth.Principal
	Operation objectstore.Operation
	Plane     string
	Region    string // empty: the one in the path of the Stats API, if any

	EnvironmentType string            // "production", "sandbox" or "design"; empty: "unknown"
	ValueBytes      int64             // size of the request's body; below 0: unknown so far, and 0 for the rules
	ValueType       string            // as a [Judge] tells it; empty: none, or it cannot be judged
	TTLSeconds      int64             // as a [Judge] tells it; below 0: none
	SourceIP        netip.Addr        // where the request came from; a rule that reads an invalid one fails
	Time            time.Time         // when it came; a rule that reads a zero one fails
	Headers         map[string]string // the headers of [Needs], by their names in lower case; absent ones are absent
}

// Decision is the outcome. A denial carries the id of the rule and a reason that the client may read.
type Decision struct {
	Allowed bool
	Rule    string // id of the rule that decided; [DefaultRule] where none permits; empty without a policy, or where Options.Shadow let a denial pass
	Reason  string // of a denial: the rule's @reason

	Shadow        []Denial    // what rules in shadow mode would have denied
	ShadowPermits []string    // ids of rules in shadow mode that would have permitted what no rule in force permits
	Errors        []RuleError // of rules whose evaluation failed
}

// Denial is a rule that would have denied, with its reason.
type Denial struct {
	Rule, Reason string
}

// RuleError is a rule whose evaluation failed. Its message names no client, key or value.
type RuleError struct {
	Rule    string
	Message string
}

// Error implements error.
func (e RuleError) Error() string { return "rule " + e.Rule + ": " + e.Message }

// Needs are the facts that some rule reads, so that only those are fetched.
type Needs struct {
	EnvironmentType bool
	Region          bool // of no use where it is known
	Value           bool // ValueType or TTLSeconds: the body has to be judged
	Type            bool // ValueType decides: a rule reads it that is not in shadow mode
	Definition      bool // TTLSeconds decides: a rule reads it that is not in shadow mode
	ValueBytes      bool // the body's size: where it is unknown at first, decide again at its end
	SourceIP        bool
	Headers         []string // names in lower case, sorted
}

// DefaultRule is the rule of a denial that no rule asked for: nothing permits the request.
const DefaultRule = "default"

const (
	defaultReason = "denied by policy"
	erringReason  = "denied by policy: a rule could not be evaluated"
)
