package auth

import (
	"bytes"
	"mime"
	"net/url"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// maxRevoked limits the tokens read from one revoke request; RFC 7009 section 2.1 has
// one.
const maxRevoked = 16

// RevokedTokens returns the tokens that the body of a revoke request names (RFC 7009
// section 2.1): the parameter token of a form, or the member token of a JSON object. If
// there are several, it returns each, up to 16: the control plane may use another one
// than the gateway would, and a revoked token must not stay known here. It returns none
// for a body that is malformed or of another type. To forget a token by mistake costs
// only another lookup, so the body need not be trusted.
func RevokedTokens(contentType string, body []byte) []Token {
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return nil
	}
	var texts []string
	switch media {
	case "application/x-www-form-urlencoded":
		form, err := url.ParseQuery(string(body))
		if err != nil {
			return nil
		}
		texts = form["token"]
	case "application/json":
		texts = members(body, "token")
	}
	var tokens []Token
	for _, text := range texts[:min(len(texts), maxRevoked)] {
		if text != "" && len(text) <= maxToken && !strings.ContainsFunc(text, invisible) {
			tokens = append(tokens, NewToken(text))
		}
	}
	return tokens
}

// members returns the strings that a JSON object has under name, all of them if the
// name is repeated. It returns none if the object is malformed.
func members(body []byte, name string) (texts []string) {
	lenient := []jsontext.Options{jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)}
	if !jsontext.Value(body).IsValid(lenient...) || jsontext.Value(body).Kind() != '{' {
		return nil
	}
	d := jsontext.NewDecoder(bytes.NewReader(body), lenient...)
	_, _ = d.ReadToken() // the beginning of the object; the rest is valid
	for d.PeekKind() == '"' {
		key, errKey := d.ReadToken()
		found := key.String() == name
		value, errValue := d.ReadValue()
		if errKey != nil || errValue != nil {
			return nil
		}
		if text, err := jsontext.AppendUnquote(nil, value); err == nil && found && value.Kind() == '"' {
			texts = append(texts, string(text))
		}
	}
	return texts
}
