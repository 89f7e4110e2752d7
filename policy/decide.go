package policy

import (
	"cmp"
	"iter"
	"slices"
	"strings"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"
)

// Decide returns the decision on r. It does no I/O and takes no lock.
func (rs *Rules) Decide(r Request) Decision {
	if rs == nil {
		return Decision{Allowed: true}
	}
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
	w, ok := rs.worlds.Get().(*world)
	if !ok {
		w = new(world)
	}
	defer rs.worlds.Put(w)
	defer w.forget()
	w.set(r, &rs.facts[s], &rs.actions[s])
	request := w.request()
	c := &w.candidates
	c.lists = rs.forbids.find(c.room[:0], w.principal, r.Principal, s)
	forbids := len(c.lists)
	c.lists = rs.permits.find(c.lists, w.principal, r.Principal, s)
	found := rs.evaluate(c, w, request)
	var d Decision
	held := d.deny(found)
	if d.Rule != "" {
		return d
	}
	if held { // in shadow mode: Cedar has not told the permits beside it
		found = rs.evaluate(&candidates{lists: c.lists[forbids:]}, w, request)
	}
	d.permit(found)
	return d
}

// Foregone returns the denial that r comes to whatever its body holds: a forbid in force says so that reads neither value type nor TTL, nor the size where
// that is unknown. Where nothing is certain it returns a Decision that is Allowed and names no rule; [Rules.Decide] has the word then.
func (rs *Rules) Foregone(r Request) Decision {
	open := Decision{Allowed: true}
	s := slotOf(r.Operation.Kind, r.Operation.Confirmable)
	if rs == nil || rs.shadow || s >= slots || rs.actions[s].kind == 0 {
		return open
	}
	w := new(world)
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

// deny takes in the forbids among found and reports whether one of them holds, be it in shadow mode. Errors of permits are left to permit.
func (d *Decision) deny(found []finding) (held bool) {
	for _, f := range found {
		if !f.rule.forbid {
			continue
		}
		held = held || f.err == ""
		switch {
		case f.rule.shadow:
			d.Shadow = append(d.Shadow, f.denial())
		case d.Rule == "" || d.Reason == erringReason && f.err == "": // a forbid that holds says more than one that fails
			d.Rule, d.Reason = f.rule.id, f.denial().Reason
		}
		d.note(f)
	}
	return held
}

// permit takes in the permits among found, and that without one the default is to deny.
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
		d.note(p)
	}
	if d.Allowed {
		d.ShadowPermits = nil
		return
	}
	d.Rule, d.Reason = DefaultRule, defaultReason
}

// finding is a rule that holds, or one whose evaluation failed.
type finding struct {
	rule *rule
	err  string // what failed, in safe words
}

// denial returns the denial that f, a forbid, is.
func (f finding) denial() Denial {
	if f.err != "" {
		return Denial{f.rule.id, erringReason}
	}
	return Denial{f.rule.id, f.rule.reason}
}

// note takes in that f failed, if it did.
func (d *Decision) note(f finding) {
	if f.err != "" {
		d.Errors = append(d.Errors, RuleError{f.rule.id, f.err})
	}
}

// evaluate returns the rules of c that fail, and of those that hold the forbids, or the permits if there are none; in the order of their numbers.
func (rs *Rules) evaluate(c *candidates, w *world, request types.Request) []finding {
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

// candidates are rules that fit a request's principal and action. It implements cedar.PolicyIterator.
type candidates struct {
	lists [][]*rule
	room  [6][]*rule // that lists has without more memory
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

// safeMessage says what an error of cedar-go is about without its details, which may hold a key's name or a header's value. The name of an
// attribute is the rule's own word.
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

// absent are cedar-go's words before the name of an attribute that is not there.
const absent = "does not have the attribute `"
