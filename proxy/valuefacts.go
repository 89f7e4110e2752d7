package proxy

import (
	"fmt"
	"io"
	"strings"
	"time"

	"osgate/objectstore"
	"osgate/policy"
	"osgate/record"
)

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
		return policy.Head{}, refusal{code: record.CodeTooLarge, title: "Store definition not judged", detail: fmt.Sprintf(
			"the policy must read the whole definition of a store: send it without Content-Encoding and in at most %d bytes", judgedBody)}
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
		return refusal{code: record.CodeBadRequest, detail: "the JSON object in the body contains a member twice, so the policy cannot judge it"}
	}
	return nil
}

// redecideAtEnd makes the rules decide again at the end of the body if the facts about
// the whole body differ from those about its beginning.
func (x *exchange) redecideAtEnd(rules *policy.Rules, r policy.Request) {
	if x.judging == nil {
		return
	}
	before, needs := x.judging.head, x.judging.needs
	x.judging.decide = func(facts policy.Head) error {
		if err := x.refuseRepeated(facts, needs); err != nil || facts == before {
			return err
		}
		r := r
		r.ValueType, r.TTLSeconds, r.ValueBytes, r.Time = facts.ValueType, facts.TTLSeconds, x.body.count.Load(), time.Now()
		d := rules.Decide(r)
		x.body.keepDecision(d)
		if !d.Allowed {
			return refusal{code: record.CodeDenied, detail: d.Reason, rule: d.Rule}
		}
		return nil
	}
}

// upstreamBody returns x's body for the upstream request.
func (x *exchange) upstreamBody() io.ReadCloser {
	if x.judging == nil || x.judging.decide == nil {
		return x.body
	}
	return &heldBody{requestBody: x.body, judge: x.judging.Judge, decide: x.judging.decide}
}
