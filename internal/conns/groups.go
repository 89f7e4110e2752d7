package conns

import "net/netip"

// group is the unidentified connections of one client address (IPv6: of one /64).
type group struct {
	address       netip.Prefix
	kinds         [2]list // by busy
	size          int     // of both, as groups knows it
	before, after *group  // of the same size
}

// groups holds the groups that have connections, and knows the largest ones. Each of its
// methods takes the same time however many there are.
type groups struct {
	by    map[netip.Prefix]*group
	sizes []*group // the first group of each size, nil where there is none
	most  int      // size of the largest
}

// of returns the group of an address, and makes it if there is none.
func (s *groups) of(address netip.Prefix) *group {
	g := s.by[address]
	if g == nil {
		g = &group{address: address}
		g.kinds[0].lane, g.kinds[1].lane = laneAddress, laneAddress
		s.by[address] = g
	}
	return g
}

// size returns how many connections the group of an address has.
func (s *groups) size(address netip.Prefix) int {
	if g := s.by[address]; g != nil {
		return g.size
	}
	return 0
}

// largest returns a group that no other has more connections than, nil where there is
// none.
func (s *groups) largest() *group {
	if s.most == 0 {
		return nil
	}
	return s.sizes[s.most]
}

// weigh takes note of a change of g's size by one.
func (s *groups) weigh(g *group) {
	s.unlink(g)
	g.size = g.kinds[0].len + g.kinds[1].len
	for len(s.sizes) <= g.size {
		s.sizes = append(s.sizes, nil)
	}
	if g.size > 0 {
		if g.after = s.sizes[g.size]; g.after != nil {
			g.after.before = g
		}
		s.sizes[g.size] = g
	}
	s.most = max(s.most, g.size)
	for s.most > 0 && s.sizes[s.most] == nil {
		s.most--
	}
}

// unlink takes g out of the groups of its size.
func (s *groups) unlink(g *group) {
	switch {
	case g.size == 0:
		return
	case g.before != nil:
		g.before.after = g.after
	default:
		s.sizes[g.size] = g.after
	}
	if g.after != nil {
		g.after.before = g.before
	}
	g.before, g.after = nil, nil
}

// tidy forgets the group of an address that has no connections left.
func (s *groups) tidy(address netip.Prefix) {
	if g := s.by[address]; g != nil && g.size == 0 {
		delete(s.by, address)
	}
}
