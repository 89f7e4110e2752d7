package cache

import (
	"crypto/sha256"
	"encoding/binary"
	"net/http"
	"slices"
	"strings"

	"osgate/objectstore"
)

// digest is a SHA-256 over length-prefixed parts: equal digests mean equal parts,
// because no part can contain a separator (APISIX #13831 is a vulnerability of this
// kind: a forged variant key). The first part is the kind of name, so that names of
// different kinds never collide.
type digest [sha256.Size]byte

// partsBytes is the stack space for the parts of a usual name; longer names are
// allocated.
const partsBytes = 768

func appendPart(b []byte, s string) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
	return append(b, s...)
}

// ChoosingHeaders lists the request headers that are sent upstream and may select
// another answer there. Their values are part of an entry's name, and an answer may
// list them in Vary. The proxy sends them by this list, so it sends none that is
// missing in the name.
var ChoosingHeaders = []string{"Accept", "Content-Encoding", "Content-Type", "User-Agent"}

// ChoosingPrefix is the prefix of further headers that may select an answer. Anypoint's
// own clients name an organization and an environment in them; Object Store is not
// known to read them.
const ChoosingPrefix = "X-Anypnt-"

// entryKey returns the name of the entry that answers q. Query parameters count in the
// order in which they were sent.
func entryKey(q *Question) digest {
	var room [partsBytes]byte
	o := &q.Operation
	b := appendPart(room[:0], "osgate entry 2")
	b = append(b, byte(o.Kind))
	b = appendPart(b, q.Scope)
	b = appendRef(appendPart(b, q.Location), o.Ref)
	b = appendPart(b, o.RawQuery())
	for _, name := range ChoosingHeaders {
		b = appendValues(b, q.Header[name])
	}
	b = appendPrefixed(b, q.Header)
	return sha256.Sum256(b)
}

func appendRef(b []byte, r objectstore.Ref) []byte {
	b = appendPart(b, r.Organization)
	b = appendPart(b, r.Environment)
	b = appendPart(b, r.Region)
	b = appendPart(b, r.Store)
	b = appendPart(b, r.Partition)
	b = appendPart(b, r.Key)
	return appendPart(b, r.Confirmation)
}

func appendValues(b []byte, values []string) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(values)))
	for _, v := range values {
		b = appendPart(b, v)
	}
	return b
}

// appendPrefixed adds the headers that begin with [ChoosingPrefix], sorted by name.
func appendPrefixed(b []byte, h http.Header) []byte {
	var names []string
	for name := range h {
		if strings.HasPrefix(name, ChoosingPrefix) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		b = appendValues(appendPart(b, name), h[name])
	}
	return b
}

// grantTarget is the name of the reads that a grant is for: one kind of read of one
// store; of one environment for store lists; of one organization for regions.
func grantTarget(q *Question) digest {
	var room [partsBytes]byte
	r := q.Operation.Ref
	b := appendPart(room[:0], "osgate grant 1")
	b = append(b, byte(q.Operation.Kind))
	b = appendPart(b, q.Location)
	b = appendPart(b, r.Organization)
	b = appendPart(b, r.Environment)
	return sha256.Sum256(appendPart(b, r.Store))
}

// storeName is the name of a store in the maps of [learned].
func storeName(location string, r objectstore.Ref) digest {
	var room [partsBytes]byte
	b := appendPart(room[:0], "osgate store 1")
	b = appendPart(b, location)
	b = appendPart(b, r.Organization)
	b = appendPart(b, r.Environment)
	return sha256.Sum256(appendPart(b, r.Store))
}
