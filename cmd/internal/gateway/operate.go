package gateway

import (
	"context"

	"osgate/admin"
)

// operations are the actions of an operator on this process.
type operations struct{ *Gateway }

// operatorPart is the name of what an operator has set, in /readyz.
const operatorPart = "operator"

// Reload implements [admin.Operations].
func (o operations) Reload(context.Context) []admin.Reason {
	o.Gateway.Reload()
	var invalid []admin.Reason
	if s := o.policy.State(); s.Err != nil {
		invalid = append(invalid, admin.Reason{Part: policyPart, Detail: s.Err.Error()})
	}
	return append(invalid, o.files.reasons()...)
}

// Withdraw implements [admin.Operations].
func (o operations) Withdraw(on bool) {
	o.withdrawn.Store(on)
	if on {
		o.proxy.Retire()
	} else if o.phase.Load() == phaseServing {
		o.proxy.Resume()
	}
}

// Shadow implements [admin.Operations].
func (o operations) Shadow(on bool) error { return o.policy.SetShadow(on) }

// Switches implements [admin.Operations].
func (o operations) Switches() admin.Switches {
	s := o.policy.State()
	return admin.Switches{Withdrawn: o.withdrawn.Load(), Policy: s.Rules > 0, Shadow: s.Shadow}
}
