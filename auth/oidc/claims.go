package oidc

import (
	"slices"
	"strings"
	"time"
	"unicode"
)

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
