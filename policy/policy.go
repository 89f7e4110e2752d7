// Package policy says whether a principal may do an operation in a place.
//
// The idea a reader needs: a decision is a function of facts already known (who, what, where) and names the rule that made it. Token checks come
// before, quotas after. Without a policy everything that Anypoint itself permits is permitted; Object Store still judges every request.
package policy

import (
	"osgate/auth"
	"osgate/objectstore"
)

// Request is what a decision is made of.
type Request struct {
	Principal *auth.Principal
	Operation objectstore.Operation
	Plane     string
	Region    string // empty for the Stats API
}

// Decision is the outcome: a denial carries the id of the rule and the reason that the client may read.
type Decision struct {
	Allowed bool
	Rule    string
	Reason  string
}

// Policy decides. The zero Policy has no rules and permits everything. It is immutable and safe for concurrent use.
type Policy struct{}

// Decide returns the decision on r. It does no I/O.
func (*Policy) Decide(Request) Decision { return Decision{Allowed: true} }
