package telemetry

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
)

// hashing makes of a name what says whether two are the same, and no more: without the key nobody finds a name by trying.
type hashing []byte

// newHashing derives hashing from a key, so that the key itself serves one purpose alone; from a random one where there is none.
func newHashing(key []byte) hashing {
	if len(key) == 0 {
		key = make([]byte, sha256.Size)
		_, _ = rand.Read(key) // never fails (crypto/rand)
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("osgate names in traces"))
	return mac.Sum(nil)
}

// hashBytes is how much of a hash is told: enough to tell millions of names apart.
const hashBytes = 8

// of returns the hash of a name of some kind, in hexadecimal.
func (h hashing) of(kind, name string) string {
	mac := hmac.New(sha256.New, h)
	mac.Write([]byte(kind))
	mac.Write([]byte{0})
	mac.Write([]byte(name))
	return hex.EncodeToString(mac.Sum(nil)[:hashBytes])
}
