package policy

import (
	"cmp"
	"iter"
	"slices"
	"strings"
	"sync"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"

	"osgate/internal/recent"
)

// Decide returns the decision on r. It does no I/O. The Decision must not be changed.
func (rs *Rules) Decide(r Request) Decision {
	if rs == nil {
		return Decision{Allowed: true}
	}
	q, ok := rs.views.question(&r)
	if !ok {
		return rs.conclude(r)
	}
	d, known := rs.decisions.of(&q)
	if !known {
		d = rs.conclude(q.request())
		rs.decisions.remember(&q, d)
	}
	return d
}

// conclude evaluates the rules for r.
func (rs *Rules) conclude(r Request) Decision {
	d := rs.decide(r)
	if rs.shadow && !d.Allowed {
		d.Shadow = slices.Insert(d.Shadow, 0, Denial{d.Rule, d.Reason})
		d.Allowed, d.Rule, d.Reason = true, "", ""
	}
	return d
}

// decide returns the decision of the rules in force.
func (rs *Rules) decide(r Request) Decision {
	s := slotOf(r.Operation.Kind, r.Operation.Confirmable)
	if s >= slots || rs.actions[s].kind == 0 {
		return Decision{Rule: DefaultRule, Reason: defaultReason}
	}
	w, ok := rs.evaluations.Get().(*evaluation)
	if !ok {
		w = new(evaluation)
	}
	defer rs.evaluations.Put(w)
	defer w.reset()
	w.set(r, &rs.facts[s], &rs.actions[s])
	request := w.request()
	c := &w.candidates
	c.lists = rs.forbids.find(c.buf[:0], w.principal, r.Principal, s)
	forbids := len(c.lists)
	c.lists = rs.permits.find(c.lists, w.principal, r.Principal, s)
	found := rs.evaluate(c, w, request)
	var d Decision
	held := d.deny(found)
	if d.Rule != "" {
		return d
	}
	if held { // in shadow mode: Cedar does not report the permits beside it
		found = rs.evaluate(&candidates{lists: c.lists[forbids:]}, w, request)
	}
	d.permit(found)
	return d
}

// reset makes w ready for another request and keeps its memory.
func (w *evaluation) reset() {
	clear(w.scratch)
	*w = evaluation{scratch: w.scratch}
}

// DecideWithoutBody returns the denial of r if it does not depend on the body: a forbid
// in force applies that reads neither value type nor TTL, nor the size if that is
// unknown. Otherwise, it returns a Decision that is Allowed and names no rule, and
// [Rules.Decide] has to decide once the body is known.
func (rs *Rules) DecideWithoutBody(r Request) Decision {
	open := Decision{Allowed: true}
	s := slotOf(r.Operation.Kind, r.Operation.Confirmable)
	if rs == nil || rs.shadow || s >= slots || rs.actions[s].kind == 0 {
		return open
	}
	w := new(evaluation)
	w.set(r, &rs.facts[s], &rs.actions[s])
	var certain []*rule
	for _, rules := range rs.forbids.find(nil, w.principal, r.Principal, s) {
		for _, f := range rules {
			if !f.facts.body() && (r.ValueBytes >= 0 || !f.facts.reads(valueBytesName)) {
				certain = append(certain, f)
			}
		}
	}
	if len(certain) == 0 {
		return open
	}
	var d Decision
	d.deny(rs.evaluate(&candidates{lists: [][]*rule{certain}}, w, w.request()))
	if d.Rule == "" {
		return open
	}
	return d
}

// deny applies the forbids among found and reports whether one of them applies, in
// shadow mode or not. It leaves errors of permits to permit.
func (d *Decision) deny(found []finding) (held bool) {
	for _, f := range found {
		if !f.rule.forbid {
			continue
		}
		held = held || f.err == ""
		switch {
		case f.rule.shadow:
			d.Shadow = append(d.Shadow, f.denial())
		case d.Rule == "" || d.Reason == failedReason && f.err == "":
			// A forbid that applies is a better reason than one that fails.
			d.Rule, d.Reason = f.rule.id, f.denial().Reason
		}
		d.addError(f)
	}
	return held
}

// permit applies the permits among found. Without one, the default is to deny.
func (d *Decision) permit(found []finding) {
	for _, p := range found {
		if p.rule.forbid {
			continue
		}
		switch {
		case p.err != "":
		case p.rule.shadow:
			d.ShadowPermits = append(d.ShadowPermits, p.rule.id)
		case d.Rule == "":
			d.Allowed, d.Rule = true, p.rule.id
		}
		d.addError(p)
	}
	if d.Allowed {
		d.ShadowPermits = nil
		return
	}
	d.Rule, d.Reason = DefaultRule, defaultReason
}

// finding is a rule that applies, or one whose evaluation failed.
type finding struct {
	rule *rule
	err  string // the error, without details
}

// denial returns the denial by f, a forbid.
func (f finding) denial() Denial {
	if f.err != "" {
		return Denial{f.rule.id, failedReason}
	}
	return Denial{f.rule.id, f.rule.reason}
}

// addError adds the error of f, if it has one.
func (d *Decision) addError(f finding) {
	if f.err != "" {
		d.Errors = append(d.Errors, RuleError{f.rule.id, f.err})
	}
}

// evaluate returns the rules of c that fail, and those that apply: the forbids, or the
// permits if there are no forbids. They are sorted by their numbers.
func (rs *Rules) evaluate(c *candidates, w *evaluation, request types.Request) []finding {
	if len(c.lists) == 0 {
		return nil
	}
	_, diagnostic := cedar.Authorize(c, w, request)
	if len(diagnostic.Reasons)+len(diagnostic.Errors) == 0 {
		return nil
	}
	found := make([]finding, 0, len(diagnostic.Reasons)+len(diagnostic.Errors))
	for _, reason := range diagnostic.Reasons {
		found = append(found, finding{rule: rs.byID[reason.PolicyID]})
	}
	for _, e := range diagnostic.Errors {
		found = append(found, finding{rs.byID[e.PolicyID], safeMessage(e.Message)})
	}
	slices.SortFunc(found, func(a, b finding) int { return cmp.Compare(a.rule.number, b.rule.number) })
	return found
}

// candidates are rules whose scope includes a request's principal and action. It
// implements cedar.PolicyIterator.
type candidates struct {
	lists [][]*rule
	buf   [6][]*rule // initial memory of lists
}

// All implements cedar.PolicyIterator.
func (c *candidates) All() iter.Seq2[cedar.PolicyID, *cedar.Policy] {
	return func(yield func(cedar.PolicyID, *cedar.Policy) bool) {
		for _, rules := range c.lists {
			for _, r := range rules {
				if !yield(cedar.PolicyID(r.id), r.policy) {
					return
				}
			}
		}
	}
}

// safeMessage returns a text for an error of cedar-go without its details, which may
// contain a key's name or a header's value. The name of an attribute is part of the
// rule's text.
func safeMessage(message string) string {
	if at := strings.LastIndex(message, absent); at >= 0 {
		return "it reads the attribute `" + message[at+len(absent):] + ", which is absent"
	}
	for text, safe := range map[string]string{
		"integer overflow": "integer overflow",
		"type error":       "a value has the wrong type",
		"does not exist":   "it reads an attribute of an entity that is not part of the request",
	} {
		if strings.Contains(message, text) {
			return safe
		}
	}
	return "a value could not be converted"
}

// absent is cedar-go's text before the name of an attribute that is absent.
const absent = "does not have the attribute `"

// The bounds of the decisions that are remembered.
const (
	rememberedDecisions = 2048 // twice that at most
	rememberedNames     = 1024 // bytes of the names in one question
)

// decisions remembers the decisions on questions. It is safe for concurrent use.
type decisions struct {
	mu    sync.Mutex // guards known
	known recent.Map[question, Decision]
}

// of returns the decision on q, if it is remembered. It must not be changed.
func (ds *decisions) of(q *question) (Decision, bool) {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	return ds.known.Get(*q)
}

// remember keeps the decision on q, unless q has long names.
func (ds *decisions) remember(q *question, d Decision) {
	kept, bytes := *q, 0
	for _, name := range []*string{
		&kept.ref.Organization, &kept.ref.Environment, &kept.ref.Region, &kept.ref.Store, &kept.ref.Partition,
		&kept.client, &kept.user, &kept.issuer, &kept.plane, &kept.region, &kept.environmentType,
	} {
		*name = strings.Clone(*name) // so that the request from which it was cut is not kept in memory
		bytes += len(*name)
	}
	if bytes > rememberedNames {
		return
	}
	ds.mu.Lock()
	defer ds.mu.Unlock()
	ds.known.Put(kept, d)
}
