package seal_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"osgate/internal/seal"
)

var secret = bytes.Repeat([]byte{7}, seal.SecretBytes)

func sealer(t *testing.T, secret []byte, purpose string) *seal.Sealer {
	t.Helper()
	s, err := seal.New(secret, purpose)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestOnlyTheSameSecretPurposeAndNameOpen(t *testing.T) {
	s := sealer(t, secret, "identity")
	text := []byte("who it is")
	sealed := s.Seal("a", text)
	if got, err := sealer(t, secret, "identity").Open("a", sealed); err != nil || !bytes.Equal(got, text) {
		t.Errorf("opened %q, %v; want %q", got, err, text)
	}
	other := bytes.Repeat([]byte{8}, seal.SecretBytes)
	changed := bytes.Clone(sealed)
	changed[len(changed)-1] ^= 1
	tests := map[string]struct {
		by     *seal.Sealer
		name   string
		sealed []byte
	}{
		"another secret":  {sealer(t, other, "identity"), "a", sealed},
		"another purpose": {sealer(t, secret, "body"), "a", sealed},
		"another name":    {s, "b", sealed},
		"a changed bit":   {s, "a", changed},
		"cut":             {s, "a", sealed[:len(sealed)-1]},
		"nothing":         {s, "a", nil},
	}
	for name, tt := range tests {
		if got, err := tt.by.Open(tt.name, tt.sealed); !errors.Is(err, seal.ErrOpen) || got != nil {
			t.Errorf("%s: opened %q, %v; want ErrOpen", name, got, err)
		}
	}
}

func TestSealedTextSaysNothingTwice(t *testing.T) {
	s := sealer(t, secret, "identity")
	text := []byte("a text that is long enough to be found in what it was sealed as")
	first, second := s.Seal("a", text), s.Seal("a", text)
	if bytes.Equal(first, second) || bytes.Contains(first, text[:8]) {
		t.Error("the same text was sealed the same way twice, or can be read")
	}
	if got := len(first) - len(text); got != 28 {
		t.Errorf("%d bytes longer, want 28", got)
	}
}

func TestWeakSecretsAndNamelessPurposesAreRefused(t *testing.T) {
	if _, err := seal.New(secret[:seal.SecretBytes-1], "identity"); err == nil {
		t.Error("a short secret was taken")
	}
	if _, err := seal.New(secret, ""); err == nil {
		t.Error("no purpose was taken")
	}
}

func TestSealerPrintsNoKey(t *testing.T) {
	s := sealer(t, secret, "identity")
	for _, verb := range []string{"%v", "%+v", "%#v", "%d", "%x", "%s"} {
		if got := fmt.Sprintf(verb, s); got != "[redacted]" {
			t.Errorf("%s prints %q", verb, got)
		}
	}
	if got := s.LogValue().String(); got != "[redacted]" {
		t.Errorf("logs %q", got)
	}
}
