package gateway

import (
	"context"
	"fmt"
	"time"

	"osgate/admin"
	"osgate/audit"
)

// auditPart is the name of the audit file in /readyz.
const auditPart = "audit file"

// auditEnd bounds how long the end of the process waits for the last lines, and how long
// a new file may take to be opened.
const auditEnd = 5 * time.Second

// openAudit opens the audit file, if one is configured.
func (p *parts) openAudit(o Options) (err error) {
	if p.config.Log.Audit == "" {
		return nil
	}
	p.audit, err = audit.New(audit.Options{
		Path: p.config.Log.Audit, Secret: p.config.Key(), Instance: o.Version, OnChange: p.auditChanged,
	})
	if err != nil {
		return fmt.Errorf("opening OSGATE_AUDIT_FILE: %w", err)
	}
	p.close = append(p.close, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), auditEnd)
		defer cancel()
		return p.audit.Close(ctx)
	})
	return nil
}

// auditChanged logs one line for a change of the audit file's state.
func (p *parts) auditChanged(c audit.Change) {
	switch {
	case c.Err != nil:
		p.logger.Error("the audit file cannot be written; requests are served, and lines wait or are lost",
			"lost", c.Lost, "cause", c.Err.Error())
	case c.Lost > 0:
		p.logger.Error("lines of the audit file were lost", "lost", c.Lost)
	default:
		p.logger.Info("the audit file is written again")
	}
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

// acted adds a line about an action of an operator.
func (p *parts) acted(a admin.Action) {
	if p.audit == nil {
		return
	}
	line := audit.Action{Time: time.Now(), Name: a.Name, Actor: "loopback", RemoteAddr: a.RemoteAddr, Status: a.Status}
	if p.config.Admin.Token.Reveal() != "" {
		line.Actor = "token"
	}
	for _, parameter := range a.Parameters {
		line.Parameters = append(line.Parameters, audit.Parameter{Name: parameter.Key, Value: parameter.Value.String()})
	}
	p.audit.Act(line)
}

// auditReasons returns why the audit file may lack lines.
func (p *parts) auditReasons(now time.Time) (all []admin.Reason) {
	if p.audit == nil {
		return nil
	}
	if detail := p.audit.Stats().Degraded(now); detail != "" {
		all = append(all, admin.Reason{Part: auditPart, Detail: detail})
	}
	return all
}
