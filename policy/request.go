package policy

import (
	"net/netip"
	"time"

	"osgate/auth"
	"osgate/objectstore"
)

// Request contains the facts for a decision. A fact that no rule [Needs] may be left
// out.
type Request struct {
	Principal *auth.Principal
	Operation objectstore.Operation
	Plane     string
	Region    string // empty: the one in the path of the Stats API, if any

	EnvironmentType string     // "production", "sandbox" or "design"; empty: "unknown"
	ValueBytes      int64      // size of the request's body; below 0: unknown so far, and 0 for the rules
	ValueType       string     // as a [Judge] returns it; empty: none, or the body cannot be judged
	TTLSeconds      int64      // as a [Judge] returns it; below 0: none
	SourceIP        netip.Addr // the client's address; a rule that reads an invalid one fails
	Time            time.Time  // when the request arrived; a rule that reads a zero one fails
	// The headers of [Needs], by their names in lower case; absent headers have no entry.
	Headers map[string]string
}

// Decision is the result. A denial contains the id of the rule and a reason that the
// client may read.
type Decision struct {
	Allowed bool
	// Rule is the id of the rule that decided. It is [DefaultRule] if no rule permits
	// the request, and empty without a policy or if Options.Shadow permitted a denied
	// request.
	Rule   string
	Reason string // of a denial: the rule's @reason

	Shadow []Denial // denials by rules in shadow mode
	// Ids of rules in shadow mode that would have permitted a request that no rule in
	// force permits.
	ShadowPermits []string
	Errors        []RuleError // of rules whose evaluation failed
}

// Denial is a rule that denies or would have denied, with its reason.
type Denial struct {
	Rule, Reason string
}

// RuleError is a rule whose evaluation failed. Its message contains no name of a client
// and no key or value.
type RuleError struct {
	Rule    string
	Message string
}

// Error implements error.
func (e RuleError) Error() string { return "rule " + e.Rule + ": " + e.Message }

// Needs are the facts that some rule reads, so that the proxy fetches only those.
type Needs struct {
	EnvironmentType bool
	Region          bool // not needed if it is known
	Value           bool // ValueType or TTLSeconds is read: the body has to be judged
	Type            bool // a rule that is not in shadow mode reads ValueType
	Definition      bool // a rule that is not in shadow mode reads TTLSeconds
	ValueBytes      bool // the body's size; if it is unknown at first, decide again at the body's end
	SourceIP        bool
	Issuer          bool     // of a client without an Anypoint token
	Headers         []string // names in lower case, sorted
}

// DefaultRule is the rule of a denial without a forbid: no rule permits the request.
const DefaultRule = "default"

const (
	defaultReason = "denied by policy"
	failedReason  = "denied by policy: a rule could not be evaluated"
)
