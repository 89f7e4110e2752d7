package record

import (
	"crypto/x509"
	"errors"
	"iter"
	"net/textproto"
	"strings"
)

// Cause returns what err says went wrong, "" for nil, for [Exchange.Cause] and the log. What net/http quotes of a peer's bytes, which may be a value or a
// token, is left out, see [WithoutQuotes]; so are a header that is malformed and the names in a certificate, which are told without quotes.
func Cause(err error) string {
	if err == nil {
		return ""
	}
	text := err.Error()
	for said, plain := range foreign(err) {
		text = strings.ReplaceAll(text, said, plain)
	}
	return WithoutQuotes(text)
}

// foreign calls yield with the text of each error within err that repeats a peer's bytes as they came, and what is told in its place.
func foreign(err error) iter.Seq2[string, string] {
	return func(yield func(said, plain string) bool) { walk(err, yield) }
}

func walk(err error, yield func(said, plain string) bool) bool {
	switch e := err.(type) { //nolint:errorlint // each error of the tree is looked at
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

// WithoutQuotes returns text without what stands in it between double quotes, where Go's %q puts what others have said. A quote that is not closed
// goes to the end.
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

// endOfQuote returns where what follows a quotation begins, whose opening quote is already read.
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
