package stats

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"
)

const (
	// maxOrganizations bounds how many organizations a process remembers the root of.
	maxOrganizations = 1 << 16
	// saveAgain is the interval at which a tree that is still being learned is written
	// again, for a store that has lost it.
	saveAgain = time.Hour
)

// forest holds the organization trees that this process has learned, before and after
// they are saved.
type forest struct {
	mu    sync.Mutex       // guards the fields below
	trees map[Scope]*tree  // by root organization
	roots map[Scope]string // of sub-organizations
}

type tree struct {
	subs    map[string]bool
	learned bool      // seen since it was saved
	changed bool      // since it was saved
	saved   time.Time // zero: never
}

func newForest() *forest {
	return &forest{trees: make(map[Scope]*tree), roots: make(map[Scope]string)}
}

// LearnTree adds the fact that, according to the control plane, the organizations subs
// are below the root organization root of a plane. Facts learned before stay, because
// counts outlive organizations. With an empty root, their root is unknown. It does not
// block: this process knows the tree at once, and the next flush saves it. Of more than
// 65,536 organizations, those learned last are not remembered.
func (c *Counter) LearnTree(plane, root string, subs []string) {
	if unnamed(plane) || len(root) > maxName {
		return
	}
	c.forest.learn(plane, root, subs)
}

func (f *forest) learn(plane, root string, subs []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	at := Scope{Plane: plane, Organization: root}
	t := f.trees[at]
	for _, sub := range subs {
		if unnamed(sub) || sub == root || t != nil && t.subs[sub] || len(f.roots) >= maxOrganizations {
			continue
		}
		if t == nil {
			t = &tree{subs: make(map[string]bool)}
			f.trees[at] = t
		}
		t.subs[sub] = true
		t.changed = true
		f.roots[Scope{Plane: plane, Organization: sub}] = root
	}
	if t != nil {
		t.learned = true
	}
}

// save writes the trees that have changed, and at intervals those still being learned.
// It tries each once and returns the first error.
func (f *forest) save(ctx context.Context, store Store, now time.Time) error {
	var first error
	for _, t := range f.due(now) {
		var err error
		for subs := range slices.Chunk(t.Subs, maxScopes) {
			if err = store.SaveTree(ctx, Tree{Plane: t.Plane, Root: t.Root, Subs: subs}); err != nil {
				break
			}
		}
		if err == nil {
			f.savedAt(t, now)
		} else if first == nil {
			first = err
		}
	}
	return first
}

func (f *forest) due(now time.Time) []Tree {
	f.mu.Lock()
	defer f.mu.Unlock()
	var due []Tree
	for root, t := range f.trees {
		if t.changed || t.learned && now.Sub(t.saved) >= saveAgain {
			due = append(due, Tree{Plane: root.Plane, Root: root.Organization, Subs: slices.Sorted(maps.Keys(t.subs))})
		}
	}
	return due
}

func (f *forest) savedAt(saved Tree, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.trees[Scope{Plane: saved.Plane, Organization: saved.Root}]
	t.changed = len(t.subs) != len(saved.Subs) // learned while it was being saved
	t.learned = false
	t.saved = now
}

// find returns the tree that this process has learned of an organization, in the form
// of [Store.Tree].
func (f *forest) find(plane, organization string) Tree {
	f.mu.Lock()
	defer f.mu.Unlock()
	at := Scope{Plane: plane, Organization: organization}
	if root, ok := f.roots[at]; ok {
		return Tree{Plane: plane, Root: root}
	}
	found := Tree{Plane: plane, Root: organization}
	if t := f.trees[at]; t != nil {
		found.Subs = slices.Sorted(maps.Keys(t.subs))
	}
	return found
}

// tree returns the known tree of an organization, from this process and from the store,
// to which other processes write too.
func (c *Counter) tree(ctx context.Context, plane, organization string) (Tree, error) {
	here := c.forest.find(plane, organization)
	if here.Root != organization {
		return here, nil
	}
	there, err := again(ctx, func() (Tree, error) { return c.store.Tree(ctx, plane, organization) })
	if err != nil || there.Root != organization {
		return there, err
	}
	there.Subs = append(there.Subs, here.Subs...)
	slices.Sort(there.Subs)
	there.Subs = slices.Compact(there.Subs)
	return there, nil
}
