package oidc_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"osgate/auth"
)

// FuzzOnlySignedTokensAreAccepted: of each accepted token, the standard library alone
// confirms the signature by a key of the issuer, and another library reads the same
// client. No token causes a panic, and each accepted one is recognized.
func FuzzOnlySignedTokensAreAccepted(f *testing.F) {
	keys := []*signer{
		newKeyFor(f, "rs", "RS256"), newKeyFor(f, "ps", "PS256"), newKey(f, "es"), newKeyFor(f, "ed", "EdDSA"),
	}
	is := newIssuer(f, keys...)
	v := newVerifier(f, is)
	for _, key := range keys {
		claims := is.claims(object{"exp": time.Now().Add(time.Hour).Unix()})
		token := key.token(f, claims)
		f.Add(token.Text(), uint8(0))
		header, payload, _ := strings.Cut(token.Text(), ".")
		payload, _, _ = strings.Cut(payload, ".")
		f.Add(string(decoded(header))+"\n"+string(decoded(payload)), uint8(1))
		f.Add(`{"alg":"none"}`+"\n"+string(decoded(payload)), uint8(2))
		f.Add(`{"alg":"`+key.algorithm+`","alg":"none"}`+"\n"+string(decoded(payload)), uint8(3))
	}
	f.Add("..", uint8(0))
	f.Fuzz(func(t *testing.T, text string, mode uint8) {
		// Besides any text: any header and payload with a good signature, by any key.
		if header, payload, ok := strings.Cut(text, "\n"); ok && mode > 0 {
			text = keys[int(mode)%len(keys)].tokenOf(t, header, payload).Text()
		}
		token := auth.NewToken(text)
		recognized := v.Recognizes(token)
		caller, err := v.Verify(t.Context(), token)
		known, ok := v.Known(token)
		if ok != (err == nil) || ok && known != caller {
			t.Errorf("Known = %v, %v after Verify = %v, %v", known, ok, caller, err)
		}
		if err != nil {
			return
		}
		if !recognized || !signedByOne(keys, text) {
			t.Errorf("a token was accepted that is recognized: %v, signed: %v", recognized, signedByOne(keys, text))
		}
		if name := witness(t, keys, text, is.URL); name != caller.Name {
			t.Errorf("the client is %q, and %q for another library", caller.Name, name)
		}
	})
}

func decoded(part string) []byte {
	text, _ := base64.RawURLEncoding.DecodeString(part)
	return text
}

// signedByOne reports whether one of the keys signed a token, by the standard library
// alone.
func signedByOne(keys []*signer, text string) bool {
	signed, last := cutSignature(auth.NewToken(text))
	hash := sha256.Sum256([]byte(signed))
	signature := decoded(last)
	for _, key := range keys {
		ok := false
		switch public := key.private.Public().(type) {
		case *rsa.PublicKey:
			if key.algorithm == "RS256" {
				ok = rsa.VerifyPKCS1v15(public, crypto.SHA256, hash[:], signature) == nil
			} else {
				ok = rsa.VerifyPSS(public, crypto.SHA256, hash[:], signature, nil) == nil
			}
		case *ecdsa.PublicKey:
			ok = len(signature) == 64 &&
				ecdsa.Verify(public, hash[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:]))
		case ed25519.PublicKey:
			ok = ed25519.Verify(public, []byte(signed), signature)
		}
		if ok {
			return true
		}
	}
	return false
}

// witness returns the client of a token that golang-jwt accepts as well.
func witness(t *testing.T, keys []*signer, text, issuer string) string {
	t.Helper()
	claims := jwt.MapClaims{}
	_, err := jwt.NewParser(
		jwt.WithValidMethods([]string{"RS256", "PS256", "ES256", "EdDSA"}), jwt.WithIssuer(issuer),
		jwt.WithAudience(audience), jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(leeway),
		jwt.WithStrictDecoding(),
	).ParseWithClaims(text, claims, func(token *jwt.Token) (any, error) {
		set := jwt.VerificationKeySet{}
		for _, key := range keys {
			if kid, ok := token.Header["kid"]; !ok || kid == "" || kid == key.kid {
				set.Keys = append(set.Keys, key.private.Public())
			}
		}
		return set, nil
	})
	if err != nil {
		t.Errorf("another library refuses the token: %v", err)
	}
	for _, name := range []string{"azp", "client_id", "sub"} {
		if client, _ := claims[name].(string); client != "" {
			return client
		}
	}
	return ""
}
