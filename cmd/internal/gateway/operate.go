package gateway

import (
	"context"
	"sync"

	"osgate/admin"
)

// operations are the actions of an operator on this process.
type operations struct{ *Gateway }

// Reload implements [admin.Operations].
func (o operations) Reload(context.Context) []admin.Reason {
	o.Gateway.Reload()
	var invalid []admin.Reason
	if s := o.policy.State(); s.Err != nil {
		invalid = append(invalid, admin.Reason{Part: policyPart, Detail: s.Err.Error()})
	}
	return append(invalid, o.files.reasons()...)
}

// Reload reads again the files that may change while the gateway runs: certificates at
// once, the policy and settings files once they no longer change. An invalid file
// leaves the former content in force, is logged, and is reported by /readyz.
func (g *Gateway) Reload() {
	if g.phase.Load() == phaseServing {
		g.notified(g.service.Reloading())
		defer func() {
			if g.phase.Load() == phaseServing { // otherwise systemd knows that it stops
				g.notified(g.service.Ready(g.status()))
			}
		}()
	}
	for _, certs := range []*certificates{g.certs, g.adminCerts} {
		if certs != nil {
			certs.reload(true)
		}
	}
	var all sync.WaitGroup
	all.Go(func() { _ = g.policy.Reload() }) // policyChanged reports the error
	all.Go(g.files.reload)
	all.Go(g.reopenAudit)
	if g.brokering != nil && g.brokering.certificates != nil {
		all.Go(func() { _ = g.brokering.certificates.Reload() }) // clientCertificatesChanged reports the error
	}
	all.Wait()
}

// reopenAudit begins a new audit file if the former one was renamed.
func (p *parts) reopenAudit() {
	if p.audit == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), auditEnd)
	defer cancel()
	if err := p.audit.Reopen(ctx); err != nil {
		p.logger.Error("the audit file cannot be opened again; the former one stays in use", "cause", err.Error())
	}
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

// operatorPart is the name of what an operator has set, in /readyz.
const operatorPart = "operator"

// Shadow implements [admin.Operations].
func (o operations) Shadow(on bool) error { return o.policy.SetShadow(on) }

// Switches implements [admin.Operations].
func (o operations) Switches() admin.Switches {
	s := o.policy.State()
	return admin.Switches{Withdrawn: o.withdrawn.Load(), Policy: s.Rules > 0, Shadow: s.Shadow}
}
