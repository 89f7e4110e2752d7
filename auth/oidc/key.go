package oidc

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"math/big"
	"slices"
	"sync/atomic"

	"github.com/golang-jwt/jwt/v5"

	"osgate/internal/lengthprefix"
)

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
