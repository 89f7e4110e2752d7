package emulator

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"net/http"
	"strconv"
	"strings"
)

// pageSize is the largest page of a list (page "Object Store v2 REST APIs": "a maximum
// of 25 keys with each GET operation").
const pageSize = 25

// tagBytes is the length of a page token's MAC: enough to refuse an invented token.
const tagBytes = 12

// listing reads the parameters of a list.
func (c *call) listing(prefixed bool) (listing, error) {
	l := listing{limit: pageSize, byName: c.chosen.is(listOrder, "name")}
	var err error
	if prefixed {
		if l.prefix, err = c.one("beginsWith"); err != nil {
			return listing{}, err
		}
		if c.operation.resource == keysPath {
			l.prefix = strings.ReplaceAll(l.prefix, " ", "+") // in the form of stored keys
		}
	}
	if l.limit, err = c.pageSize(); err != nil {
		return listing{}, err
	}
	token, err := c.one("nextPageToken")
	if err != nil || token == "" {
		return l, err
	}
	if l.from, err = c.openToken(token); err != nil {
		return listing{}, err
	}
	return l, nil
}

func (c *call) pageSize() (int, error) {
	text, err := c.one("pageSize")
	if err != nil || text == "" {
		return pageSize, err
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return 0, problemf(http.StatusBadRequest, "pageSize is not a number from 1 to %d", pageSize)
	}
	if n > pageSize && c.chosen.is(overPageSize, "400") {
		return 0, problemf(http.StatusBadRequest, "pageSize is more than %d", pageSize)
	}
	return min(n, pageSize), nil
}

// pageAnswer is the envelope of every list: nextPageToken is null on the last page.
func pageAnswer[V, T any](c *call, values []V, page []*slot[T], more bool) answer {
	envelope := struct {
		Values        []V     `json:"values"`
		NextPageToken *string `json:"nextPageToken"`
	}{Values: values}
	if more {
		last := page[len(page)-1]
		prefix, _ := c.one("beginsWith")
		token := c.sealToken(mark{last.name, last.age}, prefix)
		envelope.NextPageToken = &token
	}
	return jsonAnswer(http.StatusOK, envelope)
}

// sealToken returns the token of the page after m.
func (c *call) sealToken(m mark, prefix string) string {
	content := append(binary.AppendUvarint(nil, m.age), m.name...)
	return base64.RawURLEncoding.EncodeToString(append(c.tokenTag(content, prefix), content...))
}

// openToken returns the mark in a token of exactly this list, or a problem.
func (c *call) openToken(token string) (mark, error) {
	invented := problemf(http.StatusBadRequest, "nextPageToken is not one that this list gave out")
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(raw) < tagBytes {
		return mark{}, invented
	}
	tag, content := raw[:tagBytes], raw[tagBytes:]
	prefix, _ := c.one("beginsWith")
	if !hmac.Equal(tag, c.tokenTag(content, prefix)) {
		return mark{}, invented
	}
	age, n := binary.Uvarint(content)
	return mark{name: string(content[n:]), age: age}, nil
}

// tokenTag binds the content of a token to one list.
func (c *call) tokenTag(content []byte, prefix string) []byte {
	mac := hmac.New(sha256.New, c.tokenKey)
	list := c.ref
	for _, part := range []string{
		c.place.plane, c.place.region, string(c.operation.resource),
		list.organization, list.environment, list.store, list.partition, prefix, string(content),
	} {
		mac.Write(binary.AppendUvarint(nil, uint64(len(part))))
		mac.Write([]byte(part))
	}
	return mac.Sum(nil)[:tagBytes]
}
