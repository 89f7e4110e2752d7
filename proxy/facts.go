package proxy

import (
	"strings"
	"time"

	"osgate/policy"
	"osgate/record"
)

// facts returns the facts about x that the applicable rules read, and no other: a fact
// that no rule reads costs nothing.
func (p *Proxy) facts(x *exchange, rules *policy.Rules) (policy.Request, error) {
	needs := rules.NeedsOf(x.op)
	r := p.bodiless(x, needs)
	return r, x.bodyFacts(&r, needs)
}

// bodiless returns the facts about x that do not need its body.
func (p *Proxy) bodiless(x *exchange, needs policy.Needs) policy.Request {
	r := policy.Request{
		Principal: x.identity.Principal, Operation: x.op, Plane: x.location.Plane, Region: x.location.Region,
		ValueBytes: x.r.ContentLength, TTLSeconds: -1, SourceIP: x.client, Time: x.rec.Start,
	}
	if needs.EnvironmentType && x.op.Ref.Environment != "" && p.Environments != nil {
		r.EnvironmentType = p.Environments.Type(x.r.Context(), x.identity, x.token, x.op.Ref.Organization, x.op.Ref.Environment)
	}
	if len(needs.Headers) > 0 {
		r.Headers = headersOf(x, needs.Headers)
	}
	return r
}

// bodyFacts adds to r the facts about x's body that rules read. It waits until the
// client has sent the beginning of the body.
func (x *exchange) bodyFacts(r *policy.Request, needs policy.Needs) error {
	if needs.Value {
		head, err := x.valueHead(needs)
		if err != nil {
			return err
		}
		r.ValueType, r.TTLSeconds = head.ValueType, head.TTLSeconds
	}
	if r.ValueBytes < 0 {
		r.ValueBytes = x.body.count.Load()
	}
	return nil
}

// headersOf returns those of the named headers that x has, by their names in lower
// case. Several values of a header are joined as RFC 9110 section 5.3 defines. Host is
// included, although net/http stores it separately.
func headersOf(x *exchange, names []string) map[string]string {
	headers := make(map[string]string, len(names))
	for _, name := range names {
		if values := x.r.Header.Values(name); len(values) > 0 {
			headers[name] = strings.Join(values, ", ")
		} else if name == "host" && x.r.Host != "" {
			headers[name] = x.r.Host
		}
	}
	return headers
}

// decide calls evaluate, a method of the rules, for x. If only discovery can find the
// region, a request is permitted here if it would be permitted in any region of the
// plane: the policy is evaluated again for the region that is found.
func (p *Proxy) decide(x *exchange, evaluate func(policy.Request) policy.Decision, r policy.Request) (d policy.Decision) {
	if !x.undecided() {
		return evaluate(r)
	}
	for _, end := range p.Regions.Allowed() {
		if end.Plane != x.location.Plane {
			continue
		}
		r.Region = end.Region
		if d = evaluate(r); d.Allowed {
			break
		}
	}
	return d
}

// redecideWhileStreaming makes the rules decide again while the body streams. A body is
// cut if it has an unknown length and grows beyond a permitted size, or if its end
// changes its type to one that is not permitted.
func (x *exchange) redecideWhileStreaming(rules *policy.Rules, r policy.Request) {
	x.redecideAtEnd(rules, r)
	if x.r.ContentLength >= 0 || !rules.NeedsOf(x.op).ValueBytes {
		return
	}
	x.body.judge = func(bytes int64) error {
		r := r
		r.ValueBytes, r.Time = bytes, time.Now()
		d := rules.Decide(r)
		x.body.keepDecision(d)
		if !d.Allowed {
			return refusal{code: record.CodeTooLarge, detail: d.Reason, rule: d.Rule}
		}
		return nil
	}
}

// recordLastDecision records the latest decision about a body that was judged while it
// streamed: the one about the longest part counts.
func (x *exchange) recordLastDecision() {
	if d := x.body.lastDecision(); d != nil {
		x.recordDecision(d)
	}
}

// recordDecision records the shadow denials and the rule errors of a decision.
func (x *exchange) recordDecision(d *policy.Decision) {
	x.rec.Shadow = ids(d.Shadow, func(s policy.Denial) string { return s.Rule })
	x.rec.PolicyErrors = ids(d.Errors, func(e policy.RuleError) string { return e.Rule })
}
