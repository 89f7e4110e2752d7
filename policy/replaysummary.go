package policy

import (
	"math"
	"slices"
)

// Summary is the result of a Replay. If the log was sampled (OSGATE_LOG_SAMPLE), a line
// represents several exchanges, and all counts but those of lines are estimates.
type Summary struct {
	Lines     int  // read
	Skipped   int  // of Lines, those that describe no exchange of an identified principal with Object Store or its statistics
	Sampled   bool // some line represents more than one exchange
	Permitted int
	Denied    int
	Undecided int // a fact that a rule needs is not in the line
	// Rules are those that denied, would have denied in shadow mode or were undecided,
	// in the order of their files; DefaultRule is last.
	Rules []RuleSummary
}

// RuleSummary is the result of a Replay for one rule.
type RuleSummary struct {
	Rule      string
	Denied    int      // requests that it denies
	Refused   int      // of Denied, requests that were answered 2xx then, so that a client would notice
	Shadow    int      // requests that it would deny if it were not in shadow mode
	Undecided int      // requests for which the rule's result is unknown
	Missing   []string // the facts that it lacked for those, sorted
	First     string   // request ids of the first and the last of all these
	Last      string
}

// tally collects the numbers of a Summary.
type tally struct {
	lines, skipped               int
	sampled                      bool
	permitted, denied, undecided float64
	byRule                       map[string]*ruleTally
}

// ruleTally collects the numbers of a RuleSummary.
type ruleTally struct {
	denied, refused, shadow, undecided float64
	missing                            []string
	first, last                        string
}

// deny counts a request that rule denies.
func (p *Replay) deny(rule string, l *logLine) {
	p.tally.denied += l.weight()
	p.count(rule, l, func(of *ruleTally) {
		of.denied += l.weight()
		if l.Status/100 == 2 {
			of.refused += l.weight()
		}
	})
}

// count counts l for rule.
func (p *Replay) count(rule string, l *logLine, add func(*ruleTally)) {
	of := p.tally.byRule[rule]
	if of == nil {
		of = &ruleTally{first: l.RequestID}
		p.tally.byRule[rule] = of
	}
	of.last = l.RequestID
	add(of)
}

// addMissing adds names to the missing facts.
func (of *ruleTally) addMissing(names []string) {
	of.missing = append(of.missing, names...)
	slices.Sort(of.missing)
	of.missing = slices.Compact(of.missing)
}

// Summary returns the result so far.
func (p *Replay) Summary() Summary {
	t := &p.tally
	s := Summary{
		Lines: t.lines, Skipped: t.skipped, Sampled: t.sampled, Permitted: round(t.permitted), Denied: round(t.denied), Undecided: round(t.undecided),
	}
	for _, id := range append(p.rules.IDs(), DefaultRule) {
		if of := t.byRule[id]; of != nil {
			s.Rules = append(s.Rules, RuleSummary{
				Rule: id, Denied: round(of.denied), Refused: round(of.refused), Shadow: round(of.shadow), Undecided: round(of.undecided),
				Missing: of.missing, First: of.first, Last: of.last,
			})
		}
	}
	return s
}

// round returns n, a sum of weights, as a number of exchanges.
func round(n float64) int { return int(math.Round(n)) }
