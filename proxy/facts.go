package proxy

import (
	"strings"
	"time"

	"osgate/policy"
)

// facts gathers what the rules that apply to x read, and no more than that: a fact that no rule asks for costs nothing.
func (p *Proxy) facts(x *exchange, rules *policy.Rules) (policy.Request, error) {
	needs := rules.NeedsOf(x.op)
	r := p.bodiless(x, needs)
	return r, x.bodyFacts(&r, needs)
}

// bodiless gathers what can be said of x without its body.
func (p *Proxy) bodiless(x *exchange, needs policy.Needs) policy.Request {
	r := policy.Request{
		Principal: x.who.Principal, Operation: x.op, Plane: x.location.Plane, Region: x.location.Region,
		ValueBytes: x.r.ContentLength, TTLSeconds: -1, SourceIP: x.client, Time: x.rec.Start,
	}
	if needs.EnvironmentType && x.op.Ref.Environment != "" && p.Environments != nil {
		r.EnvironmentType = p.Environments.Type(x.r.Context(), x.who, x.token, x.op.Ref.Organization, x.op.Ref.Environment)
	}
	if len(needs.Headers) > 0 {
		r.Headers = headersOf(x, needs.Headers)
	}
	return r
}

// bodyFacts adds to r what rules read of x's body. It waits for the client to send its beginning.
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

// headersOf returns those of the named headers that x has, by their names in lower case. A header that came more than once is told as RFC 9110 section
// 5.3 joins it. Host is one too, though net/http keeps it apart.
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

// decide asks ask, a method of the rules, about x. Where nothing but discovery can tell the region, what is permitted in any region of the plane may be
// looked for: the region that is found is judged again.
func (p *Proxy) decide(x *exchange, ask func(policy.Request) policy.Decision, r policy.Request) (d policy.Decision) {
	if !x.undecided() {
		return ask(r)
	}
	for _, end := range p.Regions.Allowed() {
		if end.Plane != x.location.Plane {
			continue
		}
		r.Region = end.Region
		if d = ask(r); d.Allowed {
			break
		}
	}
	return d
}

// watch makes the rules decide again while the body streams. A body is cut if it has an
// unknown length and grows beyond a permitted size, or if its end changes its type to
// one that is not permitted.
func (x *exchange) watch(rules *policy.Rules, r policy.Request) {
	x.follow(rules, r)
	if x.r.ContentLength >= 0 || !rules.NeedsOf(x.op).ValueBytes {
		return
	}
	x.body.judge = func(bytes int64) error {
		r := r
		r.ValueBytes, r.Time = bytes, time.Now()
		d := rules.Decide(r)
		x.body.judged(d)
		if !d.Allowed {
			return refusal{code: codeTooLarge, detail: d.Reason, rule: d.Rule}
		}
		return nil
	}
}

// reconsider notes what the rules said last of a body that they saw grow: what they say of all of it is what counts.
func (x *exchange) reconsider() {
	if d := x.body.verdict(); d != nil {
		x.note(d)
	}
}

// note records what the rules said beside what they decided.
func (x *exchange) note(d *policy.Decision) {
	x.rec.Shadow = ids(d.Shadow, func(s policy.Denial) string { return s.Rule })
	x.rec.PolicyErrors = ids(d.Errors, func(e policy.RuleError) string { return e.Rule })
}
