package record

import (
	"crypto/x509"
	"errors"
	"iter"
	"net/textproto"
	"strings"
)

// Cause returns the text of err for [Exchange.Cause] and the log, "" for nil. It leaves
// out bytes of a peer that net/http quotes, because they may contain a value or a
// token, see [WithoutQuotes]. It also leaves out malformed headers and the names in a
// certificate, which errors contain without quotes.
func Cause(err error) string {
	if err == nil {
		return ""
	}
	cause := err.Error()
	for text, replacement := range peerTexts(err) {
		cause = strings.ReplaceAll(cause, text, replacement)
	}
	return WithoutQuotes(cause)
}

// peerTexts yields the text of each error within err that contains bytes of a peer,
// with its replacement.
func peerTexts(err error) iter.Seq2[string, string] {
	return func(yield func(text, replacement string) bool) { walk(err, yield) }
}

func walk(err error, yield func(text, replacement string) bool) bool {
	switch e := err.(type) { //nolint:errorlint // this function walks the tree itself
	case nil:
		return true
	case textproto.ProtocolError:
		return yield(e.Error(), "malformed header")
	case x509.HostnameError:
		return yield(e.Error(), "x509: the certificate is for other hosts")
	case interface{ Unwrap() []error }:
		for _, part := range e.Unwrap() {
			if !walk(part, yield) {
				return false
			}
		}
		return true
	}
	return walk(errors.Unwrap(err), yield)
}

// WithoutQuotes replaces each text between double quotes by "…". Go's %q puts texts of
// other parties there. A quote that is not closed extends to the end.
func WithoutQuotes(text string) string {
	if !strings.Contains(text, `"`) {
		return text
	}
	var b strings.Builder
	for {
		before, rest, quoted := strings.Cut(text, `"`)
		b.WriteString(before)
		if !quoted {
			return b.String()
		}
		b.WriteString(`"…"`)
		text = rest[endOfQuote(rest):]
	}
}

// endOfQuote returns the index after the closing quote. The opening quote is not part
// of text.
func endOfQuote(text string) int {
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(text)
}
