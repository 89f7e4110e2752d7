package httpcache

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"iter"
	"strings"
)

// Our own validators are weak, because they are computed from the content here and
// upstream does not know them: W/"osg-" and 22 characters.
const (
	ownPrefix = `W/"osg-`
	ownDigest = 16 // bytes of the digest; enough that two contents never have the same one
)

var ownEncoding = base64.RawURLEncoding

// OwnETag computes our validator of a content. It is the same on every replica and
// after every fetch, as long as the content is the same.
func OwnETag(contentType string, body []byte) string {
	h := sha256.New()
	room := make([]byte, 0, 64)
	// So that a part of the body cannot be a part of the type.
	room = binary.BigEndian.AppendUint32(room, uint32(len(contentType)))
	_, _ = h.Write(append(room, contentType...))
	_, _ = h.Write(body)
	var sum [sha256.Size]byte
	text := append(room[:0], ownPrefix...)
	text = ownEncoding.AppendEncode(text, h.Sum(sum[:0])[:ownDigest])
	return string(append(text, '"'))
}

// IsOwnETag reports whether etag, one entity tag, is a validator that this cache made.
// Upstream does not know it, so it must not be sent there.
func IsOwnETag(etag string) bool {
	text, ok := strings.CutPrefix(strings.TrimSpace(etag), ownPrefix)
	if !ok {
		return false
	}
	text, ok = strings.CutSuffix(text, `"`)
	return ok && len(text) == ownEncoding.EncodedLen(ownDigest) && strings.Trim(text, base64URL) == ""
}

const base64URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// StripOwnETags returns the lines of If-None-Match or If-Match without our own
// validators. A line that contained no other tag is left out. If nothing remains of an
// If-Match that was not empty, no state that upstream knows can match: 412
// (Precondition Failed).
func StripOwnETags(lines []string) []string {
	var rest []string
	for _, line := range lines {
		if !strings.Contains(line, ownPrefix) {
			rest = append(rest, line)
			continue
		}
		var tags []string
		for tag := range entityTags([]string{line}) {
			if !IsOwnETag(tag) {
				tags = append(tags, tag)
			}
		}
		if len(tags) > 0 {
			rest = append(rest, strings.Join(tags, ", "))
		}
	}
	return rest
}

func entityTags(lines []string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, line := range lines {
			for line != "" {
				var tag string
				tag, line = cutTag(line)
				if tag = strings.TrimSpace(tag); tag != "" && !yield(tag) {
					return
				}
			}
		}
	}
}

// cutTag is cutItem for entity tags, in which a backslash is an ordinary character (RFC
// 9110 section 8.8.3).
func cutTag(list string) (tag, rest string) {
	quoted := false
	for i := range len(list) {
		switch list[i] {
		case '"':
			quoted = !quoted
		case ',':
			if !quoted {
				return list[:i], list[i+1:]
			}
		}
	}
	return list, ""
}
