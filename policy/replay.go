package policy

import (
	"encoding/json"
	"errors"
	"maps"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/cedar-policy/cedar-go/types"

	"osgate/auth"
	"osgate/objectstore"
	"osgate/record"
)

// Replay evaluates rules for past requests, read from lines of the access log. A line
// lacks some of the facts that a rule may read: partition, key, headers, value type and
// TTL, whether the operation was confirmable, the principal's organizations (the
// request's organization is assumed) and the type of the environment, unless that is
// given; also the region of a store that discovery did not look for, and the size of a
// body that was not read to its end. A request whose decision depends on one of these
// is counted as undecided. It is for one goroutine.
type Replay struct {
	rules        *Rules
	environments map[string]string
	missing      facts
	tally        tally
}

// NewReplay returns a Replay of rules. environments contains the types of environments
// by their ids; it may be nil.
func NewReplay(rs *Rules, environments map[string]string) *Replay {
	missing := newFacts()
	for _, name := range []types.String{partitionName, keyName} {
		missing.resource[name] = true
	}
	for _, name := range []types.String{valueTypeName, ttlSecondsName, confirmableName, headersName} {
		missing.context[name] = true
	}
	return &Replay{
		rules: rs, environments: environments, missing: missing, tally: tally{byRule: make(map[string]*ruleTally)},
	}
}

// logLine contains the fields of the access log that a Replay reads
// (docs/policy/commands.md).
type logLine struct {
	Time         time.Time `json:"time"`
	RequestID    string    `json:"request_id"`
	CausedBy     string    `json:"caused_by"`
	Route        string    `json:"route"`
	Operation    string    `json:"operation"`
	RemoteAddr   string    `json:"remote_addr"`
	ClientAddr   string    `json:"client_addr"`
	Plane        string    `json:"plane"`
	Region       string    `json:"region"`
	Organization string    `json:"organization"`
	Environment  string    `json:"environment"`
	Store        string    `json:"store"`
	Principal    string    `json:"principal"`
	User         string    `json:"user"`
	IdentifiedBy string    `json:"identified_by"`
	Issuer       string    `json:"issuer"`
	Status       int       `json:"status"`
	Code         string    `json:"code"`
	RequestBytes int64     `json:"request_bytes"`
	Sample       float64   `json:"sample"`
}

// errNoExchange is a line that is no request of an identified principal for an
// operation.
var errNoExchange = errors.New("no exchange of an identified principal")

// Line reads one line of the access log and counts its decision.
func (p *Replay) Line(line []byte) {
	p.tally.lines++
	var l logLine
	if err := json.Unmarshal(line, &l); err != nil {
		p.tally.skipped++
		return
	}
	r, err := l.request(p.environments)
	if err != nil {
		p.tally.skipped++
		return
	}
	if l.weight() != 1 {
		p.tally.sampled = true
	}
	p.decide(&l, &r)
}

// weight returns the number of exchanges that the line represents.
func (l *logLine) weight() float64 {
	if l.Sample > 1 && l.Sample < maxSample {
		return l.Sample
	}
	return 1
}

const maxSample = 1e9 // the largest weight by OSGATE_LOG_SAMPLE

// kindByName returns the operation with this name in the log.
func kindByName(name string) (objectstore.Kind, bool) {
	for _, k := range objectstore.Kinds() {
		if k.String() == name {
			return k, true
		}
	}
	return 0, false
}

// request returns the request that the line describes. Names that the log lacks are
// "?", so that the resource has the right type.
func (l *logLine) request(environments map[string]string) (Request, error) {
	kind, ok := kindByName(l.Operation)
	// Policy does not decide about the gateway's own requests.
	if !ok || l.Principal == "" || l.Organization == "" || l.CausedBy != "" {
		return Request{}, errNoExchange
	}
	op := objectstore.Operation{Kind: kind, Ref: objectstore.Ref{
		Organization: l.Organization, Environment: l.Environment, Store: l.Store,
	}}
	switch allowed := resourceTypes(kind); allowed[0] {
	case keyType:
		op.Ref.Partition, op.Ref.Key = "?", "?"
	case partitionType:
		op.Ref.Partition = "?"
	}
	principal := &auth.Principal{
		Plane: l.Plane, Client: l.Principal, User: l.User, Organizations: []string{l.Organization},
	}
	if m := auth.Method(l.IdentifiedBy); m == auth.ByJWT || m == auth.ByMTLS {
		principal.Method, principal.Issuer = m, l.Issuer
	}
	if user, isUser := strings.CutPrefix(l.Principal, "user:"); isUser && !principal.Brokered() {
		principal.Client, principal.User = "", user
	}
	address := l.ClientAddr
	if address == "" {
		address = l.RemoteAddr
	}
	from, _ := netip.ParseAddr(address)
	return Request{
		Principal: principal, Operation: op, Plane: l.Plane, Region: l.Region,
		EnvironmentType: environments[l.Environment], ValueBytes: l.RequestBytes, TTLSeconds: -1,
		SourceIP: from, Time: l.Time,
	}, nil
}

// decide evaluates the rules for r and counts the decision.
func (p *Replay) decide(l *logLine, r *Request) {
	rs := p.rules
	if rs == nil {
		p.tally.permitted += l.weight()
		return
	}
	missing := p.missingFrom(l, r)
	s := slotOf(r.Operation.Kind, false)
	w := &evaluation{missing: &missing}
	w.set(*r, &rs.facts[s], &rs.actions[s])
	forbid, openForbid := p.outcome(&rs.forbids, w, s, l)
	if forbid != nil {
		p.deny(forbid.id, l)
		return
	}
	permit, openPermit := p.outcome(&rs.permits, w, s, l)
	switch {
	case openForbid, permit == nil && openPermit:
		p.tally.undecided += l.weight()
	case permit != nil:
		p.tally.permitted += l.weight()
	default:
		p.deny(DefaultRule, l)
	}
}

// missingFrom returns the facts about r that l lacks. A body that was refused, or that
// its client did not send to its end, was read only in part: the logged size is too
// small.
func (p *Replay) missingFrom(l *logLine, r *Request) facts {
	missing := p.missing
	missing.resource, missing.context = maps.Clone(missing.resource), maps.Clone(missing.context)
	missing.resource[environmentTypeName] = r.EnvironmentType == "" && r.Operation.Ref.Environment != ""
	ofSeveral := r.Operation.Stats() && l.Route != "" && !strings.Contains(l.Route, "{regionId}")
	missing.resource[regionName] = l.Region == "" && !ofSeveral
	missing.resource[planeName] = l.Plane == ""
	if (l.Code != "" || l.Status == record.StatusClientLeft) &&
		slices.Contains(groups(r.Operation.Kind, false), writeGroup) {
		missing.context[valueBytesName] = true
	}
	return missing
}

// outcome returns the first rule in force of x that applies, and whether one in force
// is undecided. It counts the undecided rules and those in shadow mode that would deny.
func (p *Replay) outcome(x *index, w *evaluation, s slot, l *logLine) (held *rule, undecided bool) {
	request := w.request()
	for _, rules := range x.find(nil, w.principal, w.r.Principal, s) {
		for _, r := range rules {
			holds, lacks := p.holds(r, w, request)
			switch {
			case len(lacks) > 0:
				p.count(r.id, l, func(of *ruleTally) { of.undecided += l.weight(); of.addMissing(lacks) })
				undecided = undecided || !r.shadow
			case !holds:
			case !r.shadow:
				if held == nil || r.number < held.number {
					held = r
				}
			case r.forbid:
				p.count(r.id, l, func(of *ruleTally) { of.shadow += l.weight() })
			}
		}
	}
	return held, undecided
}

// holds reports whether the rule applies, or the facts that it lacks for a decision. A
// forbid whose evaluation fails for another reason applies.
func (p *Replay) holds(r *rule, w *evaluation, request types.Request) (holds bool, lacks []string) {
	if lacks = r.facts.missingFacts(w.missing); len(lacks) > 0 && r.facts.mayMislead(w.missing) {
		return false, lacks
	}
	found := p.rules.evaluate(&candidates{lists: [][]*rule{{r}}}, w, request)
	switch {
	case len(found) == 0:
		return false, nil
	case found[0].err == "":
		return true, nil
	case len(lacks) > 0:
		return false, lacks
	}
	return r.forbid, nil
}

// missingFacts returns the missing facts that f reads, sorted.
func (f *facts) missingFacts(missing *facts) []string {
	var names []string
	for name, lacking := range missing.resource {
		if lacking && f.resource[name] {
			names = append(names, "resource."+string(name))
		}
	}
	for name := range missing.context {
		if f.reads(name) || name == headersName && len(f.headers) > 0 {
			names = append(names, "context."+string(name))
		}
	}
	for _, t := range []types.EntityType{partitionType, keyType} {
		if f.names(t) {
			names = append(names, "the "+strings.ToLower(string(t)))
		}
	}
	slices.Sort(names)
	return names
}

// mayMislead reports whether a rule that reads f may give a wrong result without an
// error if a fact is missing: it tests the presence of an attribute, uses the context
// as a whole or compares ids.
func (f *facts) mayMislead(missing *facts) bool {
	if f.wholeContext || f.names(partitionType) || f.names(keyType) || len(f.headers) > 0 {
		return true
	}
	for name := range f.tested {
		if missing.context[name] || missing.resource[name] {
			return true
		}
	}
	return false
}

// Summary is the result of a Replay. If the log was sampled (OSGATE_LOG_SAMPLE), a line
// represents several exchanges, and all counts but those of lines are estimates.
type Summary struct {
	Lines int // read
	// Of Lines, those that describe no exchange of an identified principal with Object
	// Store or its statistics.
	Skipped   int
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
		Lines: t.lines, Skipped: t.skipped, Sampled: t.sampled,
		Permitted: round(t.permitted), Denied: round(t.denied), Undecided: round(t.undecided),
	}
	for _, id := range append(p.rules.IDs(), DefaultRule) {
		if of := t.byRule[id]; of != nil {
			s.Rules = append(s.Rules, RuleSummary{
				Rule: id, Denied: round(of.denied), Refused: round(of.refused), Shadow: round(of.shadow),
				Undecided: round(of.undecided), Missing: of.missing, First: of.first, Last: of.last,
			})
		}
	}
	return s
}

// round returns n, a sum of weights, as a number of exchanges.
func round(n float64) int { return int(math.Round(n)) }
