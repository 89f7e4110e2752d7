package oidc

import (
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"time"
	"unicode"
)

// maxToken limits a token in bytes, like [auth.ReadToken].
const maxToken = 4096

// token is a JWT in its parts, read and not believed.
type token struct {
	algorithm string
	key       string // kid; empty: none
	signed    string // header and claims, as they were signed
	signature []byte
	claims    claims
}

// split returns the three parts of the compact form (RFC 7515 section 7.1), and whether
// there are three that are not empty.
func split(text string) (parts [3]string, ok bool) {
	var rest string
	parts[0], rest, _ = strings.Cut(text, ".")
	parts[1], parts[2], _ = strings.Cut(rest, ".")
	return parts, parts[0] != "" && parts[1] != "" && parts[2] != "" && !strings.Contains(parts[2], ".")
}

// foreign reports whether r is outside of base64url (RFC 4648 section 5).
func foreign(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_')
}

// parse reads a token. It refuses what can be refused without the gateway's settings.
func parse(text string) (*token, error) {
	if len(text) > maxToken {
		return nil, refused(ReasonTooLarge, "it has more than 4096 bytes")
	}
	parts, ok := split(text)
	header, errHeader := decode(parts[0])
	payload, errPayload := decode(parts[1])
	signature, errSignature := decode(parts[2])
	if !ok || errHeader != nil || errPayload != nil || errSignature != nil {
		return nil, refused(ReasonMalformed, "it does not consist of three parts in base64url")
	}
	t := &token{signed: parts[0] + "." + parts[1], signature: signature}
	if err := t.readHeader(header); err != nil {
		return nil, err
	}
	var err error
	t.claims, err = readClaims(payload)
	return t, err
}

// decode decodes base64url without padding. It accepts only one form of each text:
// other forms of a signature would be other tokens with other hashes.
func decode(part string) ([]byte, error) {
	if strings.ContainsFunc(part, foreign) { // the library skips line breaks
		return nil, errNotBase64
	}
	return base64.RawURLEncoding.Strict().DecodeString(part)
}

var errNotBase64 = errors.New("it is not in base64url")

// readHeader reads the header (RFC 7515 section 4.1). It ignores each
// member that names or contains a key, except kid.
func (t *token) readHeader(text []byte) error {
	header, ok := readObject(text)
	if !ok {
		return refused(ReasonMalformed, "its header is no JSON object that is read in one way only")
	}
	kind, isText := header.text("typ")
	algorithm, isText2 := header.text("alg")
	key, isText3 := header.text("kid")
	_, critical := header["crit"]
	switch {
	case !isText || !isText2 || !isText3:
		return refused(ReasonMalformed, "a member of its header is no string")
	case signatureMethod(algorithm) == nil:
		return refused(ReasonAlgorithm, "only RS256, PS256, ES256 and EdDSA are accepted")
	case critical:
		return refused(ReasonCritical, "its header has crit")
	case !identifies(kind):
		return refused(ReasonType, "its typ is not that of a token that identifies a client")
	}
	t.algorithm, t.key = algorithm, key
	return nil
}

// identifies reports whether tokens of a typ identify a client: none, JWT, JOSE (SPIFFE
// JWT-SVID section 3.2), access tokens (RFC 9068 section 2.1) and Okta's own form of
// them. A logout token of the same issuer, signed by the same key, does not (RFC 8725
// section 3.11).
func identifies(kind string) bool {
	kind = strings.ToLower(kind)
	return kind == "" || kind == "jwt" || kind == "jose" || strings.HasSuffix(kind, "at+jwt")
}

// claims are the claims of a token, read and not believed.
type claims struct {
	object
	issuer    string
	audience  []string
	expires   time.Time
	notBefore time.Time // zero: none
	issuedAt  time.Time // zero: none
}

// readClaims reads the payload of a token (RFC 7519 section 4.1).
func readClaims(text []byte) (c claims, err error) {
	var ok [5]bool
	if c.object, ok[0] = readObject(text); !ok[0] {
		return c, refused(ReasonMalformed, "its payload is no JSON object that is read in one way only")
	}
	c.issuer, ok[0] = c.text("iss")
	c.audience, ok[1] = c.texts("aud")
	c.expires, ok[2] = c.instant("exp")
	c.notBefore, ok[3] = c.instant("nbf")
	c.issuedAt, ok[4] = c.instant("iat")
	switch {
	case slices.Contains(ok[:], false):
		return c, refused(ReasonMalformed, "its iss, aud, exp, nbf or iat has a wrong type")
	case c.expires.IsZero():
		return c, refused(ReasonMalformed, "it has no exp")
	}
	return c, nil
}

// check refuses claims that are not meant for audience, or not now. The clock of the
// issuer may differ by the leeway.
func (c *claims) check(audience string, now time.Time, leeway time.Duration) error {
	latest := now.Add(leeway)
	switch {
	case !slices.Contains(c.audience, audience):
		return refused(ReasonAudience, "its aud does not contain the audience of this gateway")
	case !now.Before(c.expires.Add(leeway)):
		return refused(ReasonExpired, "its exp has passed")
	case c.notBefore.After(latest):
		return refused(ReasonNotYetValid, "its nbf is in the future")
	case c.issuedAt.After(latest):
		return refused(ReasonNotYetValid, "its iat is in the future")
	}
	return nil
}

// maxName limits the name of a client in bytes. The name of a Kubernetes service account
// has at most 340.
const maxName = 512

// client returns the name of the client: the first of the names that is a string and
// not empty.
func (c *claims) client(names []string) (string, error) {
	for _, name := range names {
		client, ok := c.text(name)
		switch {
		case !ok || client == "":
		case len(client) > maxName || strings.ContainsFunc(client, unprintable):
			return "", refused(ReasonNoClient, "the claim that names the client is too long or cannot be printed")
		default:
			return client, nil
		}
	}
	return "", refused(ReasonNoClient, "none of the client claims is a string that is not empty")
}

func unprintable(r rune) bool { return !unicode.IsPrint(r) }
