package auth

import (
	"bytes"
	"encoding/json"
	"mime"
	"net/url"
	"strings"
)

// maxRevoked bounds the tokens read of one revoke; RFC 7009 section 2.1 has one.
const maxRevoked = 16

// RevokedTokens returns the tokens that the body of a revoke names (RFC 7009 section 2.1): the parameter token of a form, or the member token of a JSON
// object, each of them where there are several, since we and the control plane may read different ones. A body that is malformed or of another type names
// none. To forget a token costs no more than asking again, so nothing here is trusted.
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

// members returns the texts that a JSON object has under name, every one where the name is repeated; none if it is malformed.
func members(body []byte, name string) (texts []string) {
	if !json.Valid(body) {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(body))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil
		}
		var value any
		if err := d.Decode(&value); err != nil {
			return nil
		}
		if text, ok := value.(string); ok && key == name {
			texts = append(texts, text)
		}
	}
	return texts
}
