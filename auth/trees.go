package auth

import "iter"

// trees returns the trees that organizations are part of, in the order in which their
// roots are first met. It reads all twice, whatever they are, and its work grows with
// the number of ids in them only: an answer may have tens of thousands.
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

// forest gathers organizations under their roots.
type forest struct {
	roots map[string]int // by id, the position of each root among all organizations
	trees map[string]int // by the root's id, the position of each tree in list
	list  []Organization
}

// plant adds o and what is below it to the tree of its root. What does not state how it
// stands to others is in no tree.
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

// rootOf returns the root organization above o: the first root that came with it and
// that it names as above it. Else, of several above it any may be the root, and a
// single one is; empty where that is not known.
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
