package oidc

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"math/big"
	"slices"
	"sync/atomic"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/golang-jwt/jwt/v5"

	"osgate/internal/lengthprefix"
)

// keySet is the keys that an issuer published at one time. It is read-only, and has each
// key once.
type keySet struct{ keys []*key }

// maxKeys limits the keys of an issuer. Real issuers publish 2 to 10.
const maxKeys = 100

// maxTried limits how many keys are tried for one token.
const maxTried = 4

// readKeySet reads a JWK set (RFC 7517 section 5). It ignores keys that it cannot use,
// as section 5 requires.
func readKeySet(text []byte) (*keySet, error) {
	var answer struct {
		Keys []jsontext.Value `json:"keys"`
	}
	if json.Unmarshal(text, &answer) != nil || answer.Keys == nil {
		return nil, errors.New("the answer is no JWK set")
	}
	if len(answer.Keys) > maxKeys {
		return nil, errors.New("the JWK set has more than 100 keys")
	}
	s := &keySet{}
	for _, value := range answer.Keys {
		jwk, ok := readObject(value)
		if !ok {
			continue
		}
		if k := readKey(jwk); k != nil && s.index(k) < 0 {
			s.keys = append(s.keys, k)
		}
	}
	return s, nil
}

// index returns where s has a key equal to k, -1 if nowhere.
func (s *keySet) index(k *key) int {
	return slices.IndexFunc(s.keys, func(other *key) bool { return other.sum == k.sum })
}

// succeed returns the set to use after old, which may be nil: old itself if the keys
// are the same, and otherwise s, with the keys of old that it has too. It ends the keys
// of old that it does not have.
func (s *keySet) succeed(old *keySet) *keySet {
	if old == nil {
		return s
	}
	same := len(s.keys) == len(old.keys)
	for i, k := range s.keys {
		at := old.index(k)
		if at >= 0 {
			s.keys[i] = old.keys[at]
		}
		same = same && at >= 0
	}
	if same {
		return old
	}
	for _, k := range old.keys {
		if !slices.Contains(s.keys, k) {
			k.ended.Store(true)
		}
	}
	return s
}

// signer returns the key that signed t. Errors: [RefusedError] for [ReasonUnknownKey],
// [ReasonAlgorithm], [ReasonSignature].
func (s *keySet) signer(t *token) (*key, error) {
	named, fitting := s.candidates(t)
	switch {
	case len(fitting) == 0 && len(named) > 0 && t.key != "":
		return nil, refused(ReasonAlgorithm, "its key is for another algorithm")
	case len(fitting) == 0:
		return nil, refused(ReasonUnknownKey, "its issuer publishes no such key")
	case len(fitting) > maxTried:
		return nil, refused(ReasonUnknownKey, "its issuer publishes more than 4 keys that may be its own")
	}
	for _, k := range fitting {
		if k.signed(t) {
			return k, nil
		}
	}
	return nil, refused(ReasonSignature, "its signature is not that of its key")
}

// candidates returns the keys that t names by its kid, all of them if it has none, and
// those of them that fit its algorithm.
func (s *keySet) candidates(t *token) (named, fitting []*key) {
	for _, k := range s.keys {
		if t.key != "" && k.id != t.key {
			continue
		}
		named = append(named, k)
		if k.fits(t.algorithm) {
			fitting = append(fitting, k)
		}
	}
	return named, fitting
}

// key is a public key of an issuer. It is read-only but for ended.
type key struct {
	id        string           // kid; empty: none
	algorithm string           // the only one that it may be used with; empty: each one of its type
	public    crypto.PublicKey // *rsa.PublicKey, *ecdsa.PublicKey on P-256, or ed25519.PublicKey
	sum       [sha256.Size]byte
	// ended means that the issuer no longer publishes the key.
	ended atomic.Bool
}

// signatureMethod returns the method that checks signatures of an algorithm (RFC 7518
// section 3.1, RFC 8037 section 3.1); nil for an algorithm that is not accepted.
func signatureMethod(algorithm string) jwt.SigningMethod {
	switch algorithm {
	case "RS256":
		return jwt.SigningMethodRS256
	case "PS256":
		// The library's own accepts each length of the salt; RFC 7518 section 3.5 has one.
		return &jwt.SigningMethodRSAPSS{
			SigningMethodRSA: jwt.SigningMethodPS256.SigningMethodRSA,
			Options:          &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash},
		}
	case "ES256":
		return jwt.SigningMethodES256
	case "EdDSA":
		return jwt.SigningMethodEdDSA
	default:
		return nil
	}
}

// fits reports whether k may have made a signature of algorithm.
func (k *key) fits(algorithm string) bool {
	if k.algorithm != "" && k.algorithm != algorithm {
		return false
	}
	switch k.public.(type) {
	case *rsa.PublicKey:
		return algorithm == "RS256" || algorithm == "PS256"
	case *ecdsa.PublicKey:
		return algorithm == "ES256"
	case ed25519.PublicKey:
		return algorithm == "EdDSA"
	default:
		return false
	}
}

// signed reports whether k made the signature of t.
func (k *key) signed(t *token) bool {
	return k.fits(t.algorithm) && signatureMethod(t.algorithm).Verify(t.signed, t.signature, k.public) == nil
}

// readKey returns the key in a JWK (RFC 7517 section 4); nil if it cannot or should not
// check a signature of a token.
func readKey(jwk object) *key {
	kind, ok := jwk.text("kty")
	id, ok2 := jwk.text("kid")
	algorithm, ok3 := jwk.text("alg")
	use, ok4 := jwk.text("use")
	operations, ok5 := jwk.texts("key_ops")
	_, published := jwk["d"] // the private key, which is no secret then
	_, limited := jwk["key_ops"]
	switch {
	case !ok || !ok2 || !ok3 || !ok4 || !ok5 || published,
		use != "" && use != "sig",
		limited && !slices.Contains(operations, "verify"),
		algorithm != "" && signatureMethod(algorithm) == nil:
		return nil
	}
	var k *key
	switch kind {
	case "RSA":
		k = readRSA(jwk)
	case "EC":
		k = readEC(jwk)
	case "OKP":
		k = readEd25519(jwk)
	}
	if k == nil || algorithm != "" && !k.fits(algorithm) {
		return nil
	}
	k.id, k.algorithm = id, algorithm
	k.sum = lengthprefix.Sum(kind, id, algorithm, string(k.sum[:]))
	return k
}

// The sizes of an RSA modulus in bits. Smaller ones are weak (RFC 7518 section 3.3);
// larger ones make each signature expensive.
const (
	minModulus = 2048
	maxModulus = 8192
)

// readRSA reads an RSA key (RFC 7518 section 6.3.1). Its exponent is odd, above 65536
// (FIPS 186-5 section 5.4) and below 2^31.
func readRSA(jwk object) *key {
	modulus, exponent := jwk.number("n"), jwk.number("e")
	n, e := new(big.Int).SetBytes(modulus), new(big.Int).SetBytes(exponent)
	switch {
	case n.BitLen() < minModulus || n.BitLen() > maxModulus || n.Bit(0) == 0,
		e.BitLen() < 17 || e.BitLen() > 31 || e.Bit(0) == 0:
		return nil
	}
	return &key{
		public: &rsa.PublicKey{N: n, E: int(e.Int64())},
		sum:    lengthprefix.Sum(string(modulus), string(exponent)),
	}
}

// readEC reads a key on the curve P-256 (RFC 7518 section 6.2.1), the only one of
// ES256.
func readEC(jwk object) *key {
	x, y := jwk.number("x"), jwk.number("y")
	if curve, _ := jwk.text("crv"); curve != "P-256" || len(x) != 32 || len(y) != 32 {
		return nil
	}
	point := slices.Concat([]byte{4}, x, y) // uncompressed, SEC 1 section 2.3.3
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		return nil
	}
	return &key{public: public, sum: sha256.Sum256(point)}
}

// readEd25519 reads a key of Ed25519 (RFC 8037 section 2).
func readEd25519(jwk object) *key {
	x := jwk.number("x")
	if curve, _ := jwk.text("crv"); curve != "Ed25519" || len(x) != ed25519.PublicKeySize {
		return nil
	}
	return &key{public: ed25519.PublicKey(x), sum: sha256.Sum256(x)}
}

// number returns the bytes of a number in base64url, empty if there are none.
func (o object) number(name string) []byte {
	text, _ := o.text(name)
	bytes, err := decode(text)
	if err != nil {
		return nil
	}
	return bytes
}
