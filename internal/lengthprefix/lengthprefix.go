// Package lengthprefix names things by a hash of their parts, so that no part can
// contain a separator: each part is preceded by its length. Two lists of parts have the
// same digest only if they are equal (APISIX #13831 is a vulnerability of the other
// kind: a forged variant key).
package lengthprefix

import (
	"crypto/sha256"
	"encoding/binary"
)

// Append appends a part to b: its length as an unsigned varint, and its bytes. It
// returns the extended slice, like the built-in append.
func Append(b []byte, part string) []byte {
	b = binary.AppendUvarint(b, uint64(len(part)))
	return append(b, part...)
}

// Sum returns the SHA-256 of the parts, each preceded by its length.
func Sum(parts ...string) [sha256.Size]byte {
	b := make([]byte, 0, 256)
	for _, part := range parts {
		b = Append(b, part)
	}
	return sha256.Sum256(b)
}
