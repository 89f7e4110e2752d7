package proxy

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// peer returns the address of the connection's other end.
func peer(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// peerAddress returns the address of the connection's other end.
func peerAddress(r *http.Request) netip.Addr {
	a, _ := readAddress(r.RemoteAddr)
	return a
}

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

// addressText returns a as text, "" if it is invalid. It returns known itself if that is
// the same text, as for a client without a trusted proxy.
func addressText(a netip.Addr, known string) string {
	if !a.IsValid() {
		return ""
	}
	var room [netip6Text]byte
	text := a.AppendTo(room[:0])
	if string(text) == known {
		return known
	}
	return string(text)
}

// netip6Text is the length of the longest IPv6 address without a zone as text.
const netip6Text = len("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255")

// isTrusted reports whether a is a trusted proxy.
func isTrusted(trusted []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return p.Contains(a) })
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
