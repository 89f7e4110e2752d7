package stats

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"
)

const (
	// maxOrganizations bounds how many organizations a process remembers the place of.
	maxOrganizations = 1 << 16
	// saveAgain is how often a tree that is still being learned is written anew, for a store that has forgotten it.
	saveAgain = time.Hour
)

// forest is the organization trees that this process was told of, until and after they are saved.
type forest struct {
	mu    sync.Mutex       // guards all below
	trees map[Scope]*tree  // by root organization
	roots map[Scope]string // of sub-organizations
}

type tree struct {
	subs    map[string]bool
	learned bool      // since it was saved
	changed bool      // since it was saved
	saved   time.Time // zero: never
}

func newForest() *forest {
	return &forest{trees: make(map[Scope]*tree), roots: make(map[Scope]string)}
}

// LearnTree tells that the organizations subs are below the root organization root of a plane, as the control plane says of it. What
// was learned before stays, for counts outlive organizations. An empty root says that they are below one that is not known. It does not
// block: the tree is known to this process at once and saved with the next flush. Of more than 65,536 organizations, those learned last are
// not remembered.
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

// save writes the trees that have changed, and from time to time those still being learned. It tries each once and returns the first error.
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

// find returns what this process was told of an organization, in the form of [Store.Tree].
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

// tree returns what is known of an organization here and in the store, which other processes tell too.
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
