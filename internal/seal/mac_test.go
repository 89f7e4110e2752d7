package seal_test

import (
	"bytes"
	"fmt"
	"sync"
	"testing"

	"osgate/internal/seal"
)

func newMAC(t *testing.T, secret []byte, purpose string) *seal.MAC {
	t.Helper()
	m, err := seal.NewMAC(secret, purpose)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestOnlyTheSameSecretPurposeNameAndTextHaveTheTag(t *testing.T) {
	m := newMAC(t, secret, "grant")
	sum := m.Tag("name", "text")
	tag := string(sum[:])
	if !newMAC(t, secret, "grant").Valid("name", "text", tag) {
		t.Error("the tag is not valid for what it was made of")
	}
	other := bytes.Repeat([]byte{8}, seal.SecretBytes)
	for what, valid := range map[string]bool{
		"another secret":                  newMAC(t, other, "grant").Valid("name", "text", tag),
		"another purpose":                 newMAC(t, secret, "body").Valid("name", "text", tag),
		"another name":                    m.Valid("names", "text", tag),
		"another text":                    m.Valid("name", "texts", tag),
		"the same letters, cut elsewhere": m.Valid("namet", "ext", tag),
		"a cut tag":                       m.Valid("name", "text", tag[:len(tag)-1]),
		"a longer tag":                    m.Valid("name", "text", tag+"x"),
		"no tag":                          m.Valid("name", "text", ""),
	} {
		if valid {
			t.Errorf("%s: the tag is valid", what)
		}
	}
}

func TestTagsMayBeMadeAtTheSameTime(t *testing.T) {
	m := newMAC(t, secret, "grant")
	var group sync.WaitGroup
	for n := range 8 {
		group.Go(func() {
			text := fmt.Sprint(n)
			want := m.Tag("name", text)
			for range 100 {
				if !m.Valid("name", text, string(want[:])) {
					t.Error("a tag is not valid for what it was made of")
				}
			}
		})
	}
	group.Wait()
}

func TestMACNeedsASecretAndAPurposeAndPrintsNoKey(t *testing.T) {
	if m, err := seal.NewMAC(secret[1:], "grant"); err == nil || m != nil {
		t.Error("a short secret was taken")
	}
	if m, err := seal.NewMAC(secret, ""); err == nil || m != nil {
		t.Error("no purpose was taken")
	}
	m := newMAC(t, secret, "grant")
	if got := fmt.Sprintf("%v %+v %#v", m, m, m); got != "[redacted] [redacted] [redacted]" || m.LogValue().String() != "[redacted]" {
		t.Errorf("prints %q", got)
	}
}
