package export

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
)

// nameHasher hashes names, so that equal names can be recognized. Without the key,
// names cannot be found by trying.
type nameHasher []byte

// newNameHasher derives a nameHasher from a key, so that the key itself has only one
// purpose. Without a key it uses a random one.
func newNameHasher(key []byte) nameHasher {
	if len(key) == 0 {
		key = make([]byte, sha256.Size)
		_, _ = rand.Read(key) // never fails (crypto/rand)
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("osgate names in traces"))
	return mac.Sum(nil)
}

// hashBytes is the exported length of a hash: enough to distinguish millions of names.
const hashBytes = 8

// of returns the hash of a name of the given kind, in hexadecimal.
func (h nameHasher) of(kind, name string) string {
	mac := hmac.New(sha256.New, h)
	mac.Write([]byte(kind))
	mac.Write([]byte{0})
	mac.Write([]byte(name))
	return hex.EncodeToString(mac.Sum(nil)[:hashBytes])
}
