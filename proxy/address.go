package proxy

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// clientAddress returns the address that a request comes from: the connection's peer,
// or, if that is a trusted proxy, the last address in X-Forwarded-For that is not. Each
// proxy appends the peer that it saw, so values before an untrusted address are the
// client's own claim. If a value cannot be parsed, the result is the proxy that
// forwarded it. The zero address is a peer without an address (in a test).
func clientAddress(peer netip.Addr, forwardedFor []string, trusted []netip.Prefix) netip.Addr {
	for _, line := range slices.Backward(forwardedFor) {
		for _, hop := range slices.Backward(strings.Split(line, ",")) {
			if !isTrusted(trusted, peer) {
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

// readAddress parses an address as proxies write it: with or without a port, IPv6 with
// or without brackets.
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

// plainAddress turns an IPv4-mapped address into IPv4, and removes the zone, which has
// a meaning on one host only.
func plainAddress(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

// peerAddress returns the address of the connection's other end.
func peerAddress(r *http.Request) netip.Addr {
	a, _ := readAddress(r.RemoteAddr)
	return a
}

// ipv6Network is the number of bits of an IPv6 address that identify its owner: a
// network of 64 bits is the smallest that one host is assigned (RFC 6177).
const ipv6Network = 64

// neighborhood returns the key under which addresses are limited: an IPv4 address, or
// an IPv6 network, because one host can change its address within that network at will.
// It is "" for an invalid address.
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
