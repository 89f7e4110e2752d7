package proxy

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// clientAddress says from which address a request comes: the connection's peer, or, where that is a proxy that is believed, the last address in
// X-Forwarded-For that is none. Each proxy adds the peer that it saw at the end, so what stands before an address that is not believed is that
// client's own invention, and what cannot be read is nobody's word: the proxy that passed it on is the answer then. The zero address is a peer
// without one (a test's).
func clientAddress(peer netip.Addr, forwardedFor []string, trusted []netip.Prefix) netip.Addr {
	for _, line := range slices.Backward(forwardedFor) {
		for _, hop := range slices.Backward(strings.Split(line, ",")) {
			if !believed(trusted, peer) {
				return peer
			}
			before, ok := readAddress(hop)
			if !ok {
				return peer
			}
			peer = before
		}
	}
	return peer
}

// readAddress reads an address as proxies write it: with or without a port, IPv6 in brackets or bare.
func readAddress(text string) (netip.Addr, bool) {
	text = strings.TrimSpace(text)
	if withPort, err := netip.ParseAddrPort(text); err == nil {
		return plainAddress(withPort.Addr()), true
	}
	if bare, ok := strings.CutPrefix(text, "["); ok {
		text = strings.TrimSuffix(bare, "]")
	}
	a, err := netip.ParseAddr(text)
	return plainAddress(a), err == nil
}

// plainAddress writes IPv4 as IPv4, however the socket had it, and drops the zone, which means nothing elsewhere.
func plainAddress(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

// peerAddress returns the address of the connection's other end.
func peerAddress(r *http.Request) netip.Addr {
	a, _ := readAddress(r.RemoteAddr)
	return a
}

// ipv6Network is how much of an IPv6 address names who has it: a network of 64 bits is the least that one host is given (RFC 6177).
const ipv6Network = 64

// neighborhood names whom a client at a counts with where addresses are limited: an IPv4 address, or an IPv6 network, whose addresses one host can
// change at will. "" is nobody.
func neighborhood(a netip.Addr) string {
	switch {
	case !a.IsValid():
		return ""
	case a.Is4():
		return a.String()
	}
	network, _ := a.Prefix(ipv6Network) // fails for more bits than an address has
	return network.String()
}
