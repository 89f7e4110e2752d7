package conns

import "net/netip"

// group holds the unidentified connections of one client address (IPv6: of one /64).
type group struct {
	address       netip.Prefix
	kinds         [2]list // by busy
	size          int     // connections in both lists, when resize last ran
	before, after *group  // neighbors in the list of groups of the same size
}

// groups holds the groups that have connections, and can find a largest one. Each of
// its methods takes constant time.
type groups struct {
	by    map[netip.Prefix]*group
	sizes []*group // the first group of each size, nil if none has it
	most  int      // size of the largest group
}

// of returns the group of an address, and creates it if it does not exist.
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

// largest returns a group with the most connections, nil if there is no group.
func (s *groups) largest() *group {
	if s.most == 0 {
		return nil
	}
	return s.sizes[s.most]
}

// resize updates the lists after g's size has changed by one.
func (s *groups) resize(g *group) {
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

// unlink removes g from the list of groups of its size.
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

// tidy removes the group of an address that has no connections.
func (s *groups) tidy(address netip.Prefix) {
	if g := s.by[address]; g != nil && g.size == 0 {
		delete(s.by, address)
	}
}
