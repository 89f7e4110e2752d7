package stats

import (
	"context"
	"math"
	"slices"
	"sync"
	"time"
)

// defaultMaxBuckets bounds a Memory: 3,000 stores that are busy every hour of a week,
// at about 100 bytes each.
const defaultMaxBuckets = 1 << 19

// MemoryOptions configures a [Memory]. The zero value is usable.
type MemoryOptions struct {
	// MaxBuckets bounds the number of counts kept, each with its measures, over all
	// scopes and periods; 0 means 524,288. At the bound, the oldest hours are dropped
	// first, then the oldest days, then months. If only current ones are left, new
	// scopes are not kept separately and count at the levels above.
	MaxBuckets int
}

// Memory is a [Store] in the memory of the process, so its counts end with the process.
// A clock that is wrong and ahead for an hour costs at most a day of the oldest counts.
// Create it with [NewMemory].
type Memory struct {
	limit int

	mu      sync.RWMutex // guards the fields below
	nodes   map[Scope]*node
	tops    map[Scope]*node                     // the nodes of organizations
	buckets [periods]map[int64]map[*node]Counts // by the bucket's start
	held    int                                 // the number of counts in buckets
	horizon horizon
	subs    map[Scope]map[string]bool // of root organizations
	roots   map[Scope]string          // of sub-organizations
}

// node is a scope with a count in at least one bucket.
type node struct {
	scope    Scope
	buckets  int              // the number of buckets with a count
	latest   time.Time        // the latest hour with counts
	children map[string]*node // the scopes directly below
	applied  map[string]uint64
}

// NewMemory returns an empty store.
func NewMemory(o MemoryOptions) *Memory {
	m := &Memory{
		limit: o.MaxBuckets,
		nodes: make(map[Scope]*node),
		tops:  make(map[Scope]*node),
		subs:  make(map[Scope]map[string]bool),
		roots: make(map[Scope]string),
	}
	if m.limit <= 0 {
		m.limit = defaultMaxBuckets
	}
	for p := range m.buckets {
		m.buckets[p] = make(map[int64]map[*node]Counts)
	}
	return m
}

// MaxEntries implements [Store].
func (m *Memory) MaxEntries() int { return 2000 }

// Apply implements [Store]. It fails only if ctx has ended.
func (m *Memory) Apply(ctx context.Context, batches []*Batch) []error {
	errs := make([]error, len(batches))
	for i, b := range batches {
		if errs[i] = ctx.Err(); errs[i] == nil {
			m.apply(b)
		}
	}
	return errs
}

func (m *Memory) apply(b *Batch) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if n := m.nodes[b.Scope]; n != nil && b.Sequence <= n.applied[b.Process] {
		return
	}
	if m.horizon.advance(b.latest()) {
		m.expire()
	}
	for _, inc := range b.increments() {
		m.add(inc)
	}
	for _, s := range b.sightings() {
		if n := m.nodes[s.scope]; n != nil && s.hour.After(n.latest) {
			n.latest = s.hour
		}
	}
	if n := m.nodes[b.Scope]; n != nil {
		n.applied[b.Process] = b.Sequence
		if latest := b.latest(); latest.After(n.latest) {
			n.latest = latest
		}
	}
}

// add adds to one bucket, and makes room for it if it is new.
func (m *Memory) add(inc increment) {
	at := m.buckets[inc.period]
	n := m.nodes[inc.scope]
	c, known := at[inc.start][n]
	if n == nil || !known {
		if m.held >= m.limit && !m.evict() {
			return
		}
		n = m.node(inc.scope)
		if at[inc.start] == nil {
			at[inc.start] = make(map[*node]Counts)
		}
		n.buckets++
		m.held++
	}
	c.Add(inc.counts)
	at[inc.start][n] = c
}

// node returns the node of scope, and creates it and the nodes around it if they are
// new.
func (m *Memory) node(scope Scope) *node {
	if n := m.nodes[scope]; n != nil {
		return n
	}
	n := &node{scope: scope, children: make(map[string]*node)}
	m.nodes[scope] = n
	around, name, ok := scope.parent()
	if !ok {
		n.applied = make(map[string]uint64)
		m.tops[scope] = n
		return n
	}
	m.node(around).children[name] = n
	return n
}

// expire drops the buckets past their retention at the horizon.
func (m *Memory) expire() {
	for p := range periods {
		oldest := p.oldest(m.horizon.at).Unix()
		for start := range m.buckets[p] {
			if start < oldest {
				m.drop(p, start)
			}
		}
	}
}

// evict drops the oldest bucket of the finest period that has one before its latest.
func (m *Memory) evict() bool {
	for p := range periods {
		if len(m.buckets[p]) < 2 {
			continue
		}
		oldest := int64(math.MaxInt64)
		for start := range m.buckets[p] {
			oldest = min(oldest, start)
		}
		m.drop(p, oldest)
		return true
	}
	return false
}

// drop removes one bucket of every scope, and the scopes that have no other bucket.
func (m *Memory) drop(p Period, start int64) {
	for n := range m.buckets[p][start] {
		m.held--
		n.buckets--
		m.remove(n)
	}
	delete(m.buckets[p], start)
}

// remove removes n, and then the node around it if that is empty.
func (m *Memory) remove(n *node) {
	if n.buckets > 0 || len(n.children) > 0 {
		return
	}
	delete(m.nodes, n.scope)
	delete(m.tops, n.scope)
	if around, name, ok := n.scope.parent(); ok {
		p := m.nodes[around]
		delete(p.children, name)
		m.remove(p)
	}
}

// Counts implements [Store]. It never fails.
func (m *Memory) Counts(_ context.Context, q CountsQuery) ([][]Counts, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	rows := make([][]Counts, len(q.Scopes))
	for i, scope := range q.Scopes {
		rows[i] = make([]Counts, len(q.Starts))
		n := m.nodes[scope]
		for j, start := range q.Starts {
			rows[i][j] = m.buckets[q.Period][start.Unix()][n].only(q.Measures)
		}
	}
	return rows, nil
}

// Names implements [Store]. It never fails.
func (m *Memory) Names(_ context.Context, scope Scope, since time.Time) ([]string, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	n := m.nodes[scope]
	if n == nil {
		return nil, nil
	}
	since = Hour.Start(since)
	var seen []sighting
	for _, child := range n.children {
		if !child.latest.Before(since) {
			seen = append(seen, sighting{scope: child.scope, hour: child.latest})
		}
	}
	return namesOf(latestFirst(seen, len(seen))), nil
}

// Organizations implements [Store]. It never fails.
func (m *Memory) Organizations(_ context.Context, since time.Time, limit int) ([]Scope, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	since = Hour.Start(since)
	var seen []sighting
	for scope, n := range m.tops {
		if !n.latest.Before(since) {
			seen = append(seen, sighting{scope: scope, hour: n.latest})
		}
	}
	return latestFirst(seen, limit), nil
}

// SaveTree implements [Store]. It never fails.
func (m *Memory) SaveTree(_ context.Context, t Tree) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	root := Scope{Plane: t.Plane, Organization: t.Root}
	if m.subs[root] == nil {
		m.subs[root] = make(map[string]bool)
	}
	for _, sub := range t.Subs {
		m.subs[root][sub] = true
		if at := (Scope{Plane: t.Plane, Organization: sub}); t.Root != "" || m.roots[at] == "" {
			m.roots[at] = t.Root
		}
	}
	return nil
}

// Tree implements [Store]. It never fails.
func (m *Memory) Tree(_ context.Context, plane, organization string) (Tree, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	scope := Scope{Plane: plane, Organization: organization}
	if root, ok := m.roots[scope]; ok {
		return Tree{Plane: plane, Root: root}, nil
	}
	t := Tree{Plane: plane, Root: organization}
	for sub := range m.subs[scope] {
		t.Subs = append(t.Subs, sub)
	}
	slices.Sort(t.Subs)
	return t, nil
}
