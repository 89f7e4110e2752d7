package auth

import (
	"encoding/json"
	"sync"

	"osgate/internal/recent"
)

// The bounds of a [Names]: the names kept, of which the least recently used are dropped
// first, the names read of one answer, and the bytes of one name.
const (
	maxNames       = 4_000
	maxNamesAnswer = 1_000
	maxNameBytes   = 128
)

// Names remembers the names that control planes give to the ids of clients,
// organizations and environments, so that operators read names. Nothing is decided by a
// name. [NewNames] makes it; a nil *Names remembers nothing. It is safe for concurrent
// use.
type Names struct {
	mu sync.Mutex // guards by
	by recent.Map[string, string]
}

// NewNames returns a Names without names.
func NewNames() *Names { return &Names{by: recent.New[string, string](maxNames)} }

// Of returns the name of an id, "" if no control plane has given one.
func (n *Names) Of(id string) string {
	if n == nil {
		return ""
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	name, _ := n.by.Get(id)
	return name
}

// label is a name in an answer. Only operators read it, so that a label that is no text
// does not make the answer invalid.
type label string

// UnmarshalJSON implements [json.Unmarshaler].
func (l *label) UnmarshalJSON(text []byte) error {
	var s string
	if json.Unmarshal(text, &s) == nil {
		*l = label(s)
	}
	return nil
}

// naming is an id with its name.
type naming struct {
	id   string
	name label
}

// learn remembers the first names of one answer.
func (n *Names) learn(all []naming) {
	if n == nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, given := range all[:min(len(all), maxNamesAnswer)] {
		if given.id != "" && given.name != "" && len(given.name) <= maxNameBytes && string(given.name) != given.id {
			n.by.Put(given.id, string(given.name))
		}
	}
}

// names returns the names in m, the nearest to the client first.
func (m *me) names() (all []naming) {
	if m.Client != nil {
		all = append(all, naming{m.Client.ID, m.Client.Name})
	}
	if m.User == nil {
		return all
	}
	all = append(all, naming{userPrefix + m.User.ID, m.User.Username}, m.User.Organization.naming())
	for _, o := range m.User.MemberOf {
		all = append(all, o.naming())
	}
	for _, o := range m.User.ContributorOf {
		all = append(all, o.naming())
	}
	return all
}

func (o organization) naming() naming { return naming{o.ID, o.Name} }

// names returns the names in p.
func (p *environmentsPage) names() (all []naming) {
	for _, e := range p.Data {
		all = append(all, naming{e.ID, e.Name})
	}
	return all
}
