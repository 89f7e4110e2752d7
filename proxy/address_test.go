package proxy

import (
	"net/http"
	"net/netip"
	"testing"
)

func prefixes(texts ...string) (all []netip.Prefix) {
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

func TestClientAddressIsTheLastOneThatNobodyTrustedWrote(t *testing.T) {
	trusted := prefixes("10.0.0.0/8", "fd00::/8")
	tests := map[string]struct {
		peer  string
		lines []string
		want  string
	}{
		"no proxy":                                {"203.0.113.9:5000", nil, "203.0.113.9"},
		"a stranger's word is nothing":            {"203.0.113.9:5000", []string{"198.51.100.1"}, "203.0.113.9"},
		"a proxy's word is taken":                 {"10.0.0.1:5000", []string{"198.51.100.1"}, "198.51.100.1"},
		"what the client wrote before is not":     {"10.0.0.1:5000", []string{"8.8.8.8, 198.51.100.1"}, "198.51.100.1"},
		"a chain of proxies":                      {"10.0.0.1:5000", []string{"198.51.100.1, 10.0.0.3", "10.0.0.2"}, "198.51.100.1"},
		"a client inside":                         {"10.0.0.1:5000", []string{"10.0.0.7"}, "10.0.0.7"},
		"a proxy without a word":                  {"10.0.0.1:5000", nil, "10.0.0.1"},
		"garbage":                                 {"10.0.0.1:5000", []string{"198.51.100.1, unknown"}, "10.0.0.1"},
		"garbage that the client wrote":           {"10.0.0.1:5000", []string{"<script>, 198.51.100.1"}, "198.51.100.1"},
		"an empty element":                        {"10.0.0.1:5000", []string{"198.51.100.1,"}, "10.0.0.1"},
		"with a port":                             {"10.0.0.1:5000", []string{"198.51.100.1:4711"}, "198.51.100.1"},
		"IPv6 in brackets with a port":            {"[fd00::1]:5000", []string{"[2001:db8::1]:4711"}, "2001:db8::1"},
		"IPv6 in brackets":                        {"[fd00::1]:5000", []string{"[2001:db8::1]"}, "2001:db8::1"},
		"IPv6 bare":                               {"[fd00::1]:5000", []string{"2001:db8::1"}, "2001:db8::1"},
		"IPv4 of a socket that has both":          {"[::ffff:10.0.0.1]:5000", []string{"::ffff:198.51.100.1"}, "198.51.100.1"},
		"a zone is the machine's own, not theirs": {"[fe80::1%eth0]:5000", nil, "fe80::1"},
	}
	for name, tt := range tests {
		got := clientAddress(peerAddress(&http.Request{RemoteAddr: tt.peer}), tt.lines, trusted)
		if got.String() != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
}

func TestNeighborsShareAnIPv6NetworkAndNoIPv4Address(t *testing.T) {
	tests := map[string]string{
		"198.51.100.1":           "198.51.100.1",
		"2001:db8:1:2:3:4:5:6":   "2001:db8:1:2::/64",
		"2001:db8:1:2:ffff::":    "2001:db8:1:2::/64",
		"2001:db8:1:3:3:4:5:6":   "2001:db8:1:3::/64",
		"::ffff:198.51.100.1:80": "",
	}
	for text, want := range tests {
		a, _ := readAddress(text)
		if got := neighborhood(a); got != want {
			t.Errorf("%s counts with %q, want %q", text, got, want)
		}
	}
	if got := neighborhood(peerAddress(&http.Request{RemoteAddr: "pipe"})); got != "" {
		t.Errorf("a peer without an address counts with %q", got)
	}
}

func FuzzClientAddressIsThePeersUnlessThatIsTrusted(f *testing.F) {
	f.Add("198.51.100.1, 10.0.0.3")
	f.Add("[::1]:4, ,,unknown")
	peer := netip.MustParseAddr("203.0.113.9")
	f.Fuzz(func(t *testing.T, line string) {
		if got := clientAddress(peer, []string{line}, prefixes("10.0.0.0/8")); got != peer {
			t.Errorf("%q moved a client nobody trusts to %s", line, got)
		}
		if got := clientAddress(peer, []string{line}, prefixes("0.0.0.0/0", "::/0")); !got.IsValid() {
			t.Errorf("%q left no address at all", line)
		}
	})
}
