package top

import (
	"cmp"
	"slices"
	"strings"

	"osgate/telemetry/board"
)

// order is the order of clients and stores.
type order int

// The orders. Key s changes to the next one.
const (
	byRate order = iota
	byRefused
	byName
	orders
)

// String returns the name of the order.
func (o order) String() string { return [orders]string{"rate", "refused", "name"}[o] }

// choice is what the reader has selected by keys.
type choice struct {
	order  order
	filter string // text that a client or store must contain; empty: all
	typing bool   // keys are added to filter
	client string // the id of the client that is open; empty: none
}

// The keys that are no characters.
const (
	keyEnd       = '\x04' // Ctrl-D
	keyEnter     = '\r'
	keyLineFeed  = '\n'
	keyEscape    = '\x1b'
	keyBackspace = '\x7f'
)

// maxFilter is the number of bytes of the longest filter.
const maxFilter = 40

// press returns the choice after a key, and whether the key requests the end. first is
// the id of the first client of the list, empty if there is none.
func (c choice) press(key byte, first string) (after choice, end bool) {
	enter := key == keyEnter || key == keyLineFeed
	switch {
	case key == keyEnd || !c.typing && (key == 'q' || key == 'Q'):
		return c, true
	case c.client != "":
		if key == keyEscape {
			c.client = ""
		}
	case key == keyEscape:
		c.filter, c.typing = "", false
	case c.typing && enter:
		c.typing = false
	case enter:
		c.client = first
	case c.typing && key == keyBackspace:
		c.filter = c.filter[:max(0, len(c.filter)-1)]
	case c.typing && key >= ' ' && key < keyBackspace && len(c.filter) < maxFilter:
		c.filter += string(rune(key))
	case !c.typing && key == '/':
		c.typing = true
	case !c.typing && key == 's':
		c.order = (c.order + 1) % orders
	}
	return c, false
}

// String describes the choice in the first line; "" for the default.
func (c choice) String() string {
	var parts []string
	if c.order != byRate {
		parts = append(parts, "by "+c.order.String())
	}
	switch {
	case c.typing:
		parts = append(parts, "filter: "+c.filter+"_")
	case c.filter != "":
		parts = append(parts, "filter: "+c.filter)
	}
	return strings.Join(parts, ", ")
}

// matches reports whether one of texts contains the filter. Case does not matter.
func (c choice) matches(texts ...string) bool {
	return slices.ContainsFunc(texts, func(text string) bool {
		return strings.Contains(strings.ToLower(text), strings.ToLower(c.filter))
	})
}

// clients returns the clients of o that match, in order.
func (c choice) clients(o overview) []board.ClientCount {
	shown := slices.DeleteFunc(slices.Clone(o.Traffic.Clients), func(one board.ClientCount) bool {
		return !c.matches(one.Principal, o.Names[one.Principal])
	})
	slices.SortStableFunc(shown, func(a, b board.ClientCount) int {
		switch c.order {
		case byRefused:
			return cmp.Compare(b.Refused, a.Refused)
		case byName:
			return strings.Compare(o.nameOf(a.Principal), o.nameOf(b.Principal))
		default:
			return 0 // as they come
		}
	})
	return shown
}

// first returns the id of the first client of o that matches, empty if there is none.
func (c choice) first(o overview) string {
	shown := c.clients(o)
	if len(shown) == 0 {
		return ""
	}
	return shown[0].Principal
}

// stores returns the stores of o that match, in order.
func (c choice) stores(o overview) []board.StoreCount {
	shown := slices.DeleteFunc(slices.Clone(o.Traffic.Stores), func(s board.StoreCount) bool {
		return !c.matches(s.Store, s.Environment, s.Organization, o.Names[s.Environment], o.Names[s.Organization])
	})
	if c.order == byName {
		slices.SortStableFunc(shown, func(a, b board.StoreCount) int { return strings.Compare(a.Store, b.Store) })
	}
	return shown
}
