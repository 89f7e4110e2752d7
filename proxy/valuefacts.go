package proxy

import (
	"fmt"
	"io"
	"strings"
	"time"

	"osgate/objectstore"
	"osgate/policy"
)

// judgedBody is the longest body that is judged before any of it is sent. A longer
// value is judged while it streams.
const judgedBody = 64 << 10

// judging is the judgment of a body that streams.
type judging struct {
	*policy.Judge             // for the whole body; it has not read any byte yet
	head          policy.Head // the facts about the beginning
	needs         policy.Needs
	verdict       func(policy.Head) error // decides at the end of the body; nil: the rules do not decide again
}

// valueHead judges the body for rules that read it. If a rule in force reads the TTL, a
// store's definition must be readable completely: a longer or compressed one could set
// another TTL than the judged one.
func (x *exchange) valueHead(needs policy.Needs) (policy.Head, error) {
	x.judge = nil
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
	told := j.Head(whole)
	if !whole && needs.Definition && x.defines() {
		return policy.Head{}, refusal{code: codeTooLarge, title: "Store definition not judged", detail: fmt.Sprintf(
			"the policy has to read a store's definition whole: send it without Content-Encoding and in at most %d bytes", judgedBody)}
	}
	if !whole && encoding == "" && !x.defines() {
		x.judge = &judging{Judge: judge(), head: told, needs: needs}
	}
	return told, x.refuseRepeated(told, needs)
}

// defines reports whether x's body defines a store.
func (x *exchange) defines() bool {
	return x.op.Kind == objectstore.PutStore || x.op.Kind == objectstore.PatchStore
}

// refuseRepeated refuses a body that contains a member twice if a rule in force reads
// its members: upstream may use the other one.
func (x *exchange) refuseRepeated(told policy.Head, needs policy.Needs) error {
	if told.Repeated && (needs.Type && !x.defines() || needs.Definition && x.defines()) {
		return refusal{code: codeBadRequest, detail: "the JSON object in the body contains a member twice, so the policy cannot judge it"}
	}
	return nil
}

// follow makes the rules decide again at the end of the body if the whole body has
// other facts than its beginning.
func (x *exchange) follow(rules *policy.Rules, r policy.Request) {
	if x.judge == nil {
		return
	}
	before, needs := x.judge.head, x.judge.needs
	x.judge.verdict = func(told policy.Head) error {
		if err := x.refuseRepeated(told, needs); err != nil || told == before {
			return err
		}
		r := r
		r.ValueType, r.TTLSeconds, r.ValueBytes, r.Time = told.ValueType, told.TTLSeconds, x.body.count.Load(), time.Now()
		d := rules.Decide(r)
		x.body.judged(d)
		if !d.Allowed {
			return refusal{code: codeDenied, detail: d.Reason, rule: d.Rule}
		}
		return nil
	}
}

// upstreamBody is x's body on its way upstream.
func (x *exchange) upstreamBody() io.ReadCloser {
	if x.judge == nil || x.judge.verdict == nil {
		return x.body
	}
	return &heldBody{requestBody: x.body, judge: x.judge.Judge, verdict: x.judge.verdict}
}
