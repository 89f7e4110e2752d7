package proxy

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"osgate/auth"
	"osgate/objectstore"
	"osgate/policy"
	"osgate/record"
)

// errStale is the cause if only a stale identity is known for a token.
var errStale = errors.New("the control plane is unavailable, and confirmed this token only before that")

// authorize evaluates the organization's policy for every exchange, cache hits
// included. The Stats API is answered by the gateway itself, and for members of the
// organization only. For requests that are forwarded, upstream decides as well.
func (p *Proxy) authorize(x *exchange) error {
	x.enter(record.StageAuthorize)
	if x.call != 0 {
		return nil
	}
	if err := p.judge(x); err != nil {
		return err
	}
	if err := x.checkMember(); err != nil {
		return err
	}
	if x.op.Stats() && x.identity.Stale { // this answer is ours: upstream does not check the token again
		return &auth.UnavailableError{Plane: x.location.Plane, Cause: errStale}
	}
	if x.op.Stats() && !x.identity.Member(x.op.Ref.Organization) {
		return refusal{
			code: record.CodeDenied, title: "Not a member of the organization",
			detail: "the client is not a member of this organization",
		}
	}
	return nil
}

// checkMember refuses a brokered request for an organization that the gateway's own
// connected app does not belong to: upstream would refuse the gateway, not the client.
func (x *exchange) checkMember() error {
	if !x.brokered() || x.identity.Member(x.op.Ref.Organization) {
		return nil
	}
	return refusal{
		code: record.CodeDenied, title: "Organization not served",
		detail: "the gateway's own connected app does not belong to this organization",
	}
}

// judge evaluates the rules and records their decision. If the request is denied
// whatever its body contains, the body is not read. Without rules every client with an
// Anypoint token is permitted: upstream decides about it. No other client is.
func (p *Proxy) judge(x *exchange) error {
	rules := p.Policy.Rules()
	switch {
	case rules == nil && x.brokered():
		return refusal{code: record.CodeDenied, detail: "no policy permits this request"}
	case rules == nil:
		return nil
	}
	needs := rules.NeedsOf(x.op)
	facts, d := p.bodiless(x, needs), policy.Decision{Allowed: true}
	if needs.Value && x.r.ContentLength != 0 {
		d = p.decide(x, rules.DecideWithoutBody, facts)
	}
	if d.Allowed {
		if err := x.bodyFacts(&facts, needs); err != nil {
			return err
		}
		d = p.decide(x, rules.Decide, facts)
	}
	x.rec.Rule = d.Rule
	x.recordDecision(&d)
	if !d.Allowed {
		return refusal{code: record.CodeDenied, detail: d.Reason, rule: d.Rule}
	}
	x.redecideWhileStreaming(rules, facts)
	return nil
}

// bodiless returns the facts about x that do not need its body.
func (p *Proxy) bodiless(x *exchange, needs policy.Needs) policy.Request {
	r := policy.Request{
		Principal: x.identity.Principal, Operation: x.op, Plane: x.location.Plane, Region: x.location.Region,
		ValueBytes: x.r.ContentLength, TTLSeconds: -1, SourceIP: x.client, Time: x.rec.Start,
	}
	if needs.EnvironmentType && x.op.Ref.Environment != "" && p.Environments != nil && p.takeOwnToken(x) == nil {
		r.EnvironmentType = p.Environments.Type(x.r.Context(), x.identity, x.token,
			x.op.Ref.Organization, x.op.Ref.Environment)
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
func (p *Proxy) decide(
	x *exchange, evaluate func(policy.Request) policy.Decision, r policy.Request,
) (d policy.Decision) {
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
	if x.judging != nil {
		x.redecideAtEnd(rules, r)
	}
	if x.r.ContentLength < 0 && rules.NeedsOf(x.op).ValueBytes {
		x.redecideAsItGrows(rules, r)
	}
}

// redecideAsItGrows makes the rules decide about each part of the body before it is sent.
func (x *exchange) redecideAsItGrows(rules *policy.Rules, r policy.Request) {
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

// recordDecision records the shadow denials and the rule errors of a decision.
func (x *exchange) recordDecision(d *policy.Decision) {
	x.rec.Shadow = ids(d.Shadow, func(s policy.Denial) string { return s.Rule })
	x.rec.PolicyErrors = ids(d.Errors, func(e policy.RuleError) string { return e.Rule })
}

// ids returns the id of each item of list, nil for an empty list.
func ids[T any](list []T, id func(T) string) (all []string) {
	for _, item := range list {
		all = append(all, id(item))
	}
	return all
}

// judgedBody is the longest body, in bytes, that is judged before any of it is sent. A
// longer value is judged while it streams.
const judgedBody = 64 << 10

// judging is the state of judging a body that streams.
type judging struct {
	*policy.Judge             // for the whole body; it has not received any byte yet
	head          policy.Head // the facts about the beginning
	needs         policy.Needs
	decide        func(policy.Head) error // decides at the end of the body; nil: the rules do not decide again
}

// valueHead judges the body for rules that read it. If a rule in force reads the TTL, a
// store's definition must be readable completely: a longer or compressed one could set
// a different TTL from the judged one.
func (x *exchange) valueHead(needs policy.Needs) (policy.Head, error) {
	x.judging = nil
	if !policy.Judges(x.op.Kind) {
		return policy.Head{TTLSeconds: -1}, nil
	}
	h := x.r.Header
	encoding := strings.Join(h["Content-Encoding"], "")
	judge := func() *policy.Judge {
		return policy.NewJudge(x.op.Kind, strings.Join(h["Content-Type"], ", "), encoding)
	}
	whole, j := x.r.ContentLength == 0, judge()
	if !whole && encoding == "" {
		var head []byte
		head, whole = x.body.peek(judgedBody)
		if err := x.body.failure(); err != nil {
			return policy.Head{}, err
		}
		_, _ = j.Write(head) // never fails
	}
	facts := j.Head(whole)
	if !whole && needs.Definition && x.defines() {
		return policy.Head{}, refusal{
			code: record.CodeTooLarge, title: "Store definition not judged", detail: fmt.Sprintf(
				"the policy must read the whole definition of a store: send it without Content-Encoding and in at most %d bytes",
				judgedBody),
		}
	}
	if !whole && encoding == "" && !x.defines() {
		x.judging = &judging{Judge: judge(), head: facts, needs: needs}
	}
	return facts, x.refuseRepeated(facts, needs)
}

// defines reports whether x's body defines a store.
func (x *exchange) defines() bool {
	return x.op.Kind == objectstore.PutStore || x.op.Kind == objectstore.PatchStore
}

// refuseRepeated refuses a body that contains a member twice if a rule in force reads
// its members: upstream may use the other one.
func (x *exchange) refuseRepeated(facts policy.Head, needs policy.Needs) error {
	if facts.Repeated && (needs.Type && !x.defines() || needs.Definition && x.defines()) {
		return refusal{
			code:   record.CodeBadRequest,
			detail: "the JSON object in the body contains a member twice, so the policy cannot judge it",
		}
	}
	return nil
}

// redecideAtEnd makes the rules decide again at the end of the body if the facts about
// the whole body differ from those about its beginning.
func (x *exchange) redecideAtEnd(rules *policy.Rules, r policy.Request) {
	before, needs := x.judging.head, x.judging.needs
	x.judging.decide = func(facts policy.Head) error {
		if err := x.refuseRepeated(facts, needs); err != nil || facts == before {
			return err
		}
		r := r
		r.ValueType, r.TTLSeconds, r.ValueBytes, r.Time =
			facts.ValueType, facts.TTLSeconds, x.body.count.Load(), time.Now()
		d := rules.Decide(r)
		x.body.keepDecision(d)
		if !d.Allowed {
			return refusal{code: record.CodeDenied, detail: d.Reason, rule: d.Rule}
		}
		return nil
	}
}
