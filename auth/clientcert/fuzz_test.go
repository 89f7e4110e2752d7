package clientcert

import (
	"bytes"
	"encoding/base64"
	"testing"

	"github.com/dunglas/httpsfv"
)

// FuzzByteSequence checks the header's parser against another one, and that each
// sequence of bytes has one form.
func FuzzByteSequence(f *testing.F) {
	for _, text := range []string{":YQ==:", ":YQ:", "::", ":", "", ":YR==:", ":Y Q==:", ":YQ==:;a", " :YQ==: ", ":YQ==:,:YQ==:", ":Y\r\nQ==:", ":YQ=\n=:"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := parseBytes(text)
		_, _ = parseHeader([]string{text})
		_, _ = parseChain([]string{text, text})
		back, failed := parseBytes(":" + base64.StdEncoding.EncodeToString([]byte(text)) + ":")
		if failed == nil && string(back) != text || failed != nil && len(text) < maxHeader/2 {
			t.Errorf("%q comes back as %q, %v", text, back, failed)
		}
		if err != nil {
			return
		}
		if form := ":" + base64.StdEncoding.EncodeToString(got) + ":"; form != string(bytes.Trim([]byte(text), " \t")) {
			t.Errorf("%q and %q are the same bytes", text, form)
		}
		item, err := httpsfv.UnmarshalItem([]string{string(bytes.Trim([]byte(text), " \t"))})
		if theirs, ok := item.Value.([]byte); err != nil || !ok || !bytes.Equal(theirs, got) {
			t.Errorf("%q: %q; another parser: %v, %v", text, got, item.Value, err)
		}
	})
}
