package emulator

import (
	"net/http"
	"strconv"
	"strings"
)

// No ETag of Object Store v2 has been observed; a vendor engineer's client of a local
// store uses ETag and If-Match to compare and swap. The choice "etag" turns them on.

// tag is the entity tag of an item.
func (it *item) tag() string { return strconv.Quote(strconv.FormatUint(it.version, 10)) }

// tagged returns a with the ETag of the call's item if etag=on.
func (c *call) tagged(a answer) answer {
	if c.chosen.is(etags, "on") {
		a.header.Set("ETag", c.item.tag())
	}
	return a
}

// precondition checks If-Match and If-None-Match against the item of a key before a
// write; nil means that there is none (RFC 9110 section 13.1).
func (c *call) precondition(before *item) error {
	if !c.chosen.is(etags, "on") {
		return nil
	}
	if c.in.Header.Get("If-Match") != "" && !matches(c.in.Header, "If-Match", before) {
		return problemf(http.StatusPreconditionFailed, "the key does not match If-Match")
	}
	if matches(c.in.Header, "If-None-Match", before) {
		return problemf(http.StatusPreconditionFailed, "the key matches If-None-Match")
	}
	return nil
}

// matches reports whether the condition header names the tag of it, or is "*" and the
// item exists. The tags are strong, so a weak one is compared without its prefix.
func matches(header http.Header, name string, it *item) bool {
	if it == nil {
		return false
	}
	for _, line := range header.Values(name) {
		for tag := range strings.SplitSeq(line, ",") {
			tag = strings.TrimSpace(tag)
			if tag == "*" ||
				strings.TrimPrefix(tag, "W/") == it.tag() && (name != "If-Match" || !strings.HasPrefix(tag, "W/")) {
				return true
			}
		}
	}
	return false
}
