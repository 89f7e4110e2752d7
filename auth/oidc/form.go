package oidc

import (
	"encoding/base64"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"osgate/auth"
)

// Recognizes reports whether t has the form of a JWT: a JSON object with the member alg
// in base64, before the first dot. It does not mean that t is good. It is lenient, so
// that a JWT that is damaged, encrypted or without a signature is refused as such, and
// never mistaken for another kind of token and sent elsewhere.
func (v *Verifier) Recognizes(t auth.Token) bool {
	part, _, dot := strings.Cut(t.Text(), ".")
	if !dot {
		return false
	}
	header, ok := readPart(lastPart(part))
	_, ok2 := header["alg"]
	return ok && ok2
}

// Contains reports whether text contains a JWT of one of the issuers, in whatever
// state: three parts, of which the second names the issuer.
func (v *Verifier) Contains(text string) bool {
	for {
		part, rest, dot := strings.Cut(text, ".")
		if !dot {
			return false
		}
		if v.issued(lastPart(part), rest) {
			return true
		}
		text = rest
	}
}

// issued reports whether header is that of a JWT, and the part at the beginning of rest
// names one of the issuers.
func (v *Verifier) issued(header, rest string) bool {
	if !strings.HasPrefix(header, "e") { // as each JSON object in base64
		return false
	}
	payload, _, dot := strings.Cut(rest, ".")
	if !dot {
		return false
	}
	if _, ok := readPart(header); !ok {
		return false
	}
	c, _ := readPart(payload)
	issuer, _ := c.text("iss")
	_, ok := v.issuers[issuer]
	return ok
}

// lastPart returns the end of text that is in base64, without the padding.
func lastPart(text string) string {
	text = strings.TrimRight(text, "=")
	return text[strings.LastIndexFunc(text, outside)+1:]
}

// outside reports whether r is outside of both alphabets of base64 (RFC 4648).
func outside(r rune) bool { return foreign(r) && r != '+' && r != '/' }

// readPart reads the JSON object in a part of a JWT, leniently.
func readPart(part string) (o object, ok bool) {
	part = strings.NewReplacer("+", "-", "/", "_").Replace(part)
	decoded, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return nil, false
	}
	lenient := []json.Options{jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)}
	return o, json.Unmarshal(decoded, &o, lenient...) == nil && o != nil
}
