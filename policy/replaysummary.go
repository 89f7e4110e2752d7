package policy

import (
	"math"
	"slices"
)

// Summary is the outcome of a Replay. Where a log was thinned out (OSGATE_LOG_SAMPLE) a line stands for several exchanges, and all counts but those of lines
// are estimates.
type Summary struct {
	Lines     int  // read
	Skipped   int  // of Lines, those that are no exchange of an identified principal with Object Store or its statistics
	Sampled   bool // some line stood for more exchanges than one
	Permitted int
	Denied    int
	Undecided int           // what a rule needs is not in the line
	Rules     []RuleSummary // those that denied, would have denied in shadow mode or could not be decided, in the order of their files; DefaultRule last
}

// RuleSummary is what a Replay found of one rule.
type RuleSummary struct {
	Rule      string
	Denied    int      // requests that it denies
	Refused   int      // of Denied, those that were answered 2xx then: what a client would miss
	Shadow    int      // requests that it would deny if it were not in shadow mode
	Undecided int      // requests of which it cannot be said
	Missing   []string // the facts that it lacked then, sorted
	First     string   // request ids of the first and the last of all these
	Last      string
}

// tally is a Summary in the making.
type tally struct {
	lines, skipped               int
	sampled                      bool
	permitted, denied, undecided float64
	byRule                       map[string]*ruleTally
}

// ruleTally is a RuleSummary in the making.
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

// lack adds names to what was missing.
func (of *ruleTally) lack(names []string) {
	of.missing = append(of.missing, names...)
	slices.Sort(of.missing)
	of.missing = slices.Compact(of.missing)
}

// Summary returns what was found so far.
func (p *Replay) Summary() Summary {
	t := &p.tally
	s := Summary{
		Lines: t.lines, Skipped: t.skipped, Sampled: t.sampled, Permitted: whole(t.permitted), Denied: whole(t.denied), Undecided: whole(t.undecided),
	}
	for _, id := range append(p.rules.IDs(), DefaultRule) {
		if of := t.byRule[id]; of != nil {
			s.Rules = append(s.Rules, RuleSummary{
				Rule: id, Denied: whole(of.denied), Refused: whole(of.refused), Shadow: whole(of.shadow), Undecided: whole(of.undecided),
				Missing: of.missing, First: of.first, Last: of.last,
			})
		}
	}
	return s
}

// whole returns n, a sum of weights, as a number of exchanges.
func whole(n float64) int { return int(math.Round(n)) }
