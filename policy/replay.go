package policy

import (
	"encoding/json"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/cedar-policy/cedar-go/types"

	"osgate/auth"
	"osgate/objectstore"
)

// Replay asks rules about requests of the past, read from lines of the access log. A line does not say all that a rule may read: there is no partition,
// key, header, value type or TTL in it, whether it was confirmable, to which organizations the principal belongs (the request's is taken to be one) and of
// which type its environment is, unless that is given; nor the region of what discovery did not look for, and the size of a body that was not read to its
// end. A rule that needs one of these to be decided is counted as undecided. It is for one goroutine.
type Replay struct {
	rules        *Rules
	environments map[string]string
	missing      facts
	tally        tally
}

// NewReplay returns a Replay of rules. The types of environments by their ids may be nil.
func NewReplay(rs *Rules, environments map[string]string) *Replay {
	missing := newFacts()
	for _, name := range []types.String{partitionName, keyName} {
		missing.resource[name] = true
	}
	for _, name := range []types.String{valueTypeName, ttlSecondsName, confirmableName, headersName} {
		missing.context[name] = true
	}
	return &Replay{rules: rs, environments: environments, missing: missing, tally: tally{byRule: make(map[string]*ruleTally)}}
}

// logLine is what a Replay reads of a line of the access log (docs/operations.md).
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
	Status       int       `json:"status"`
	Code         string    `json:"code"`
	RequestBytes int64     `json:"request_bytes"`
	Sample       float64   `json:"sample"`
}

// errNoExchange is a line that says of no request what is needed.
var errNoExchange = errors.New("no exchange of an identified principal")

// Line takes in one line of the access log.
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

// weight is for how many exchanges the line stands.
func (l *logLine) weight() float64 {
	if l.Sample > 1 && l.Sample < maxSample {
		return l.Sample
	}
	return 1
}

const maxSample = 1e9 // what a share of OSGATE_LOG_SAMPLE may come to at most

// kindByName returns the operation that the log names so.
func kindByName(name string) (objectstore.Kind, bool) {
	for _, k := range objectstore.Kinds() {
		if k.String() == name {
			return k, true
		}
	}
	return 0, false
}

// request returns what the line says was asked. Names that the log lacks are "?", so that the resource is of the right type.
func (l *logLine) request(environments map[string]string) (Request, error) {
	kind, ok := kindByName(l.Operation)
	if !ok || l.Principal == "" || l.Organization == "" || l.CausedBy != "" { // no policy decides about the gateway's own
		return Request{}, errNoExchange
	}
	op := objectstore.Operation{Kind: kind, Ref: objectstore.Ref{Organization: l.Organization, Environment: l.Environment, Store: l.Store}}
	switch allowed := resourceTypes(kind); allowed[0] {
	case keyType:
		op.Ref.Partition, op.Ref.Key = "?", "?"
	case partitionType:
		op.Ref.Partition = "?"
	}
	who := &auth.Principal{Plane: l.Plane, Client: l.Principal, User: l.User, Organizations: []string{l.Organization}}
	if user, isUser := strings.CutPrefix(l.Principal, "user:"); isUser {
		who.Client, who.User = "", user
	}
	address := l.ClientAddr
	if address == "" {
		address = l.RemoteAddr
	}
	from, _ := netip.ParseAddr(address)
	return Request{
		Principal: who, Operation: op, Plane: l.Plane, Region: l.Region, EnvironmentType: environments[l.Environment],
		ValueBytes: l.RequestBytes, TTLSeconds: -1, SourceIP: from, Time: l.Time,
	}, nil
}

// decide asks the rules about r and counts what they say.
func (p *Replay) decide(l *logLine, r *Request) {
	rs := p.rules
	if rs == nil {
		p.tally.permitted += l.weight()
		return
	}
	missing := p.lacking(l, r)
	s := slotOf(r.Operation.Kind, false)
	w := &world{missing: &missing}
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

// statusLeft is logged where the client went away before it had its answer.
const statusLeft = 499

// lacking is what l does not say of r. A body that was refused, or that its client did not send to its end, was read as far as that took: what is logged is
// less than its size.
func (p *Replay) lacking(l *logLine, r *Request) facts {
	missing := p.missing
	missing.resource, missing.context = maps.Clone(missing.resource), maps.Clone(missing.context)
	missing.resource[environmentTypeName] = r.EnvironmentType == "" && r.Operation.Ref.Environment != ""
	ofSeveral := r.Operation.Stats() && l.Route != "" && !strings.Contains(l.Route, "{regionId}")
	missing.resource[regionName] = l.Region == "" && !ofSeveral
	missing.resource[planeName] = l.Plane == ""
	if (l.Code != "" || l.Status == statusLeft) && slices.Contains(groups(r.Operation.Kind, false), writeGroup) {
		missing.context[valueBytesName] = true
	}
	return missing
}

// outcome returns the first rule in force of x that holds, and whether one in force cannot be decided. It counts those that cannot and those in
// shadow mode that would deny.
func (p *Replay) outcome(x *index, w *world, s slot, l *logLine) (held *rule, open bool) {
	request := w.request()
	for _, rules := range x.find(nil, w.principal, w.r.Principal, s) {
		for _, r := range rules {
			holds, lacks := p.holds(r, w, request)
			switch {
			case len(lacks) > 0:
				p.count(r.id, l, func(of *ruleTally) { of.undecided += l.weight(); of.lack(lacks) })
				open = open || !r.shadow
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
	return held, open
}

// holds reports whether the rule holds of the world, or what it lacks to be decided. An evaluation that fails for another reason makes a forbid hold.
func (p *Replay) holds(r *rule, w *world, request types.Request) (holds bool, lacks []string) {
	if lacks = r.facts.lack(w.missing); len(lacks) > 0 && r.facts.blind(w.missing) {
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

// lack returns what f reads of what is missing, sorted.
func (f *facts) lack(missing *facts) []string {
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

// blind reports whether a rule that reads f may go wrong without failing where something is missing: it asks whether an attribute is there, uses the
// context as a whole or compares ids.
func (f *facts) blind(missing *facts) bool {
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
