package oidc_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"maps"
	"math/big"
	"strings"
	"testing"

	"osgate/auth"
	"osgate/auth/oidc"
)

// TestKeysThatAreIgnored, each beside a good one. A token that such a key signed is
// refused, as one with an unknown key.
func TestKeysThatAreIgnored(t *testing.T) {
	elliptic384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p384 := &signer{"b", "ES256", elliptic384}
	es, rs, ed := newKey(t, "b"), newKeyFor(t, "b", "RS256"), newKeyFor(t, "b", "EdDSA")
	x, _ := es.jwk()["x"].(string)
	y, _ := es.jwk()["y"].(string)
	point := append(decoded(x), decoded(y)...)
	for name, c := range map[string]struct {
		key     *signer
		changes object
	}{
		"a use that is not sig":             {es, object{"use": "enc"}},
		"a use that is no string":           {es, object{"use": 1}},
		"operations without verify":         {es, object{"key_ops": []string{"sign"}}},
		"no operations":                     {es, object{"key_ops": []string{}}},
		"operations that are null":          {es, object{"key_ops": null}},
		"another algorithm of its type":     {es, object{"alg": "ES384"}},
		"an algorithm of another type":      {es, object{"alg": "RS256"}},
		"an algorithm with a secret":        {es, object{"alg": "HS256"}},
		"an algorithm that is no string":    {es, object{"alg": null}},
		"the private key":                   {es, object{"d": encode([]byte("private"))}},
		"no type":                           {es, object{"kty": nil}},
		"a type in other case":              {es, object{"kty": "ec"}},
		"another type":                      {es, object{"kty": "RSA"}},
		"a secret":                          {es, object{"kty": "oct", "k": encode([]byte("secret"))}},
		"another curve":                     {p384, nil},
		"another curve by another name":     {p384, object{"crv": "P-256"}},
		"a curve of another name":           {es, object{"crv": "P-384"}},
		"a point beside the curve":          {es, object{"x": encode(make([]byte, 32))}},
		"a short coordinate":                {es, object{"x": encode(make([]byte, 31))}},
		"a long coordinate":                 {es, object{"y": encode(make([]byte, 33))}},
		"a point that is divided elsewhere": {es, object{"x": encode(point[:33]), "y": encode(point[33:])}},
		"no coordinate":                     {es, object{"y": nil}},
		"a coordinate that is no base64":    {es, object{"y": "!"}},
		"no modulus":                        {rs, object{"n": nil}},
		"an even modulus":                   {rs, object{"n": encode(even(rs))}},
		"a modulus of 8200 bits":            {rs, object{"n": encode([]byte(strings.Repeat("\xff", 1025)))}},
		"no exponent":                       {rs, object{"e": nil}},
		"an exponent of 1":                  {rs, object{"e": encode([]byte{1})}},
		"an exponent of 3":                  {rs, object{"e": encode([]byte{3})}},
		"an even exponent":                  {rs, object{"e": encode([]byte{1, 0, 2})}},
		"an exponent of 64 bits":            {rs, object{"e": encode([]byte("\x01\x00\x00\x00\x00\x00\x00\x01"))}},
		"a negative exponent":               {rs, object{"e": "-AQAB"}},
		"a modulus with padding":            {rs, object{"n": encode(rsaKey().N.Bytes()) + "="}},
		"another curve of Edwards":          {ed, object{"crv": "X25519"}},
		"a short key of Edwards":            {ed, object{"x": encode(make([]byte, 31))}},
		"a key of Edwards of other type":    {ed, object{"kty": "EC"}},
		"a kid that is no string":           {ed, object{"kid": 1}},
		"an exponent that is no string":     {rs, object{"e": 65537}},
		"a zero point of another type":      {ed, object{"x": nil}},
	} {
		t.Run(name, func(t *testing.T) {
			good := newKey(t, "a")
			is := newIssuer(t)
			is.publishRaw("text", change(c.key.jwk(), c.changes), nil, object{}, []any{}, good.jwk())
			v := newVerifier(t, is)
			header := object{"alg": c.key.algorithm}
			wantRefused(t, v, c.key.token(t, is.claims(nil), header), oidc.ReasonUnknownKey)
			wantCaller(t, v, good.token(t, is.claims(nil)))
			if n := v.States()[0].Keys; n != 1 {
				t.Errorf("%d keys are in use, want 1", n)
			}
		})
	}
}

// even returns the modulus of an RSA key, one more.
func even(s *signer) []byte {
	public, _ := s.private.Public().(*rsa.PublicKey)
	return new(big.Int).Add(public.N, big.NewInt(1)).Bytes()
}

// TestRSAKeysBelow2048BitsAreIgnored, with a key of 1024 bits that is as good otherwise.
func TestRSAKeysBelow2048BitsAreIgnored(t *testing.T) {
	small := &signer{"small", "RS256", weakKey(t)}
	is := newIssuer(t, small)
	wantRefused(t, newVerifier(t, is), small.token(t, is.claims(nil)), oidc.ReasonUnknownKey)
}

// weakKey returns a key of 1024 bits, which the standard library no longer makes.
func weakKey(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	t.Setenv("GODEBUG", "rsa1024min=0")
	p, q := prime(t), prime(t)
	one, e := big.NewInt(1), big.NewInt(65537)
	phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
	key := &rsa.PrivateKey{
		PublicKey: rsa.PublicKey{N: new(big.Int).Mul(p, q), E: 65537},
		D:         new(big.Int).ModInverse(e, phi), Primes: []*big.Int{p, q},
	}
	if key.N.BitLen() > 2000 || key.N.BitLen() < 1020 {
		t.Fatalf("the key has %d bits", key.N.BitLen())
	}
	return key
}

func prime(t *testing.T) *big.Int {
	t.Helper()
	p, err := rand.Prime(rand.Reader, 512)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestKeysWithoutOptionalMembersAreUsed: alg, use, key_ops, and kid.
func TestKeysWithoutOptionalMembersAreUsed(t *testing.T) {
	for _, algorithm := range []string{"RS256", "PS256", "ES256", "EdDSA"} {
		for _, changes := range []object{
			{"alg": nil, "use": nil},
			{"key_ops": []string{"sign", "verify"}, "x5c": []string{"MIIB"}, "ext": true},
		} {
			key := newKeyFor(t, "a", algorithm)
			is := newIssuer(t)
			is.publishRaw(change(key.jwk(), changes))
			wantCaller(t, newVerifier(t, is), key.token(t, is.claims(nil)))
		}
	}
}

// TestAKeyIsForItsAlgorithmAlone: for the one it names, or those of its type.
func TestAKeyIsForItsAlgorithmAlone(t *testing.T) {
	rs := newKeyFor(t, "rs", "RS256")
	free := maps.Clone(rs.jwk())
	free["kid"] = "free"
	delete(free, "alg")
	is := newIssuer(t)
	is.publishRaw(rs.jwk(), free, newKey(t, "es").jwk())
	v := newVerifier(t, is)
	wantCaller(t, v, rs.token(t, is.claims(nil)))
	ps := newKeyFor(t, "rs", "PS256")
	wantRefused(t, v, ps.token(t, is.claims(nil)), oidc.ReasonAlgorithm)
	wantCaller(t, v, ps.token(t, is.claims(nil), object{"kid": "free"}))
	wantRefused(t, v, rs.token(t, is.claims(nil), object{"kid": "es"}), oidc.ReasonAlgorithm)
	wantRefused(t, v, newKeyFor(t, "free", "EdDSA").token(t, is.claims(nil)), oidc.ReasonAlgorithm)
	wantFetches(t, is, 1)
}

// TestKeysOfOneNameAreTriedAll: a name may be used once for each type, or twice.
func TestKeysOfOneNameAreTriedAll(t *testing.T) {
	keys := []*signer{newKey(t, "a"), newKeyFor(t, "a", "EdDSA"), newKey(t, "a")}
	is := newIssuer(t, keys...)
	v := newVerifier(t, is)
	for _, key := range keys {
		wantCaller(t, v, key.token(t, is.claims(nil)))
	}
	wantFetches(t, is, 1)
}

// TestPSSHasASaltAsLongAsItsHash (RFC 7518 section 3.5), and no other.
func TestPSSHasASaltAsLongAsItsHash(t *testing.T) {
	key := newKeyFor(t, "a", "PS256")
	is := newIssuer(t, key)
	v := newVerifier(t, is)
	signed, _ := cutSignature(key.token(t, is.claims(nil)))
	for salt, want := range map[int]oidc.Reason{
		32: "", 16: oidc.ReasonSignature, 64: oidc.ReasonSignature, 0: oidc.ReasonSignature,
	} {
		token := signPSS(t, signed, salt)
		if want == "" {
			wantCaller(t, v, token)
			continue
		}
		wantRefused(t, v, token, want)
	}
}

// signPSS returns a token of a signed text, with a salt of so many bytes.
func signPSS(t *testing.T, signed string, salt int) auth.Token {
	t.Helper()
	hash := sha256.Sum256([]byte(signed))
	o := &rsa.PSSOptions{SaltLength: salt}
	if salt == 0 {
		o.SaltLength = rsa.PSSSaltLengthAuto // the longest
	}
	signature, err := rsa.SignPSS(rand.Reader, rsaKey(), crypto.SHA256, hash[:], o)
	if err != nil {
		t.Fatal(err)
	}
	return auth.NewToken(signed + "." + encode(signature))
}
