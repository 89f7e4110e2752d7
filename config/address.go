package config

import (
	"errors"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// Address is where a listener listens: "host:port", ":port" for every interface, or
// "[::1]:port" for IPv6. With port 0 the system chooses the port.
type Address string

// Loopback reports whether only this machine can reach the address: its host is a
// loopback IP or "localhost". Any other name counts as reachable, even if it resolves
// to a loopback IP today.
func (a Address) Loopback() bool {
	host, _, err := net.SplitHostPort(string(a))
	if err != nil {
		return false
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// parseAddress parses host:port. The host is an IP, a name or empty; the port is a
// number.
func parseAddress(text string) (Address, error) {
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		return "", errors.New("not an address")
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return "", errors.New("no port number")
	}
	if _, err := netip.ParseAddr(host); host != "" && err != nil && !hostName(host) {
		return "", errors.New("no host")
	}
	return Address(text), nil
}

// hostName reports whether text can be a DNS name. Underscores, which container
// networks allow, are accepted.
func hostName(text string) bool {
	return len(text) <= 253 && only(text, "-._") && text[0] != '-' && text[0] != '.'
}

// only reports whether text is not empty and contains only ASCII letters, digits and
// the extra bytes.
func only(text, extra string) bool {
	for _, r := range text {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
		case strings.ContainsRune(extra, r):
		default:
			return false
		}
	}
	return text != ""
}

// collide reports whether two listeners use the same port of the same interface.
func collide(a, b Address) bool {
	aHost, aPort, _ := net.SplitHostPort(string(a))
	bHost, bPort, _ := net.SplitHostPort(string(b))
	return aPort == bPort && strings.Trim(aPort, "0") != "" &&
		(strings.EqualFold(aHost, bHost) || everywhere(aHost) || everywhere(bHost))
}

// everywhere reports whether host means every interface.
func everywhere(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "" || err == nil && ip.Unmap().IsUnspecified()
}
