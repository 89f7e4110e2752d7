package auth

import "iter"

// trees returns the trees that organizations are part of, in the order in which their
// roots first occur. It reads each organization exactly twice, so that its work grows
// only with the number of ids: an answer may have tens of thousands.
func trees(all iter.Seq[organization]) []Organization {
	f := forest{roots: map[string]int{}, trees: map[string]int{}}
	n := 0
	for o := range all {
		if _, known := f.roots[o.ID]; o.isRoot() && o.ID != "" && !known {
			f.roots[o.ID] = n
		}
		n++
	}
	for o := range all {
		f.add(o)
	}
	return f.list
}

// forest groups organizations by their roots.
type forest struct {
	roots map[string]int // by id, the position of each root among all organizations
	trees map[string]int // by the root's id, the position of each tree in list
	list  []Organization
}

// add adds o and its sub-organizations to the tree of its root. An organization that
// does not state its relation to others is in no tree.
func (f *forest) add(o organization) {
	switch {
	case o.ID == "":
	case o.isRoot():
		f.addSubs(o.ID, o.Subs)
	case o.IsRoot != nil || o.Parent != "" || len(o.Parents) > 0:
		root := f.rootOf(o)
		f.addSubs(root, []string{o.ID})
		f.addSubs(root, o.Subs)
	}
}

// grow adds sub-organizations to the tree of root.
func (f *forest) addSubs(root string, subs []string) {
	at, ok := f.trees[root]
	if !ok {
		at = len(f.list)
		f.trees[root] = at
		f.list = append(f.list, Organization{Root: root})
	}
	f.list[at].Subs = append(f.list[at].Subs, subs...)
}

// rootOf returns the root organization above o: the first root in the answer that o
// lists above itself. If there is none and o has only one organization above it, that
// one is the root. It returns the empty string if the root is unknown.
func (f *forest) rootOf(o organization) (root string) {
	first := -1
	for _, id := range append([]string{o.Parent}, o.Parents...) {
		if at, ok := f.roots[id]; ok && (first < 0 || at < first) {
			root, first = id, at
		}
	}
	if first < 0 && len(o.Parents) == 1 {
		return o.Parents[0]
	}
	return root
}

func (o organization) isRoot() bool { return o.IsRoot != nil && *o.IsRoot }
