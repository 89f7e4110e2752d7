package broker_test

import (
	"context"
	"errors"
	"testing"

	"osgate/auth"
	"osgate/auth/broker"
	"osgate/auth/clientcert"
	"osgate/auth/oidc"
)

var (
	_ broker.Method        = (*clientcert.Verifier)(nil)
	_ broker.TokenVerifier = (*oidc.Verifier)(nil)
)

// verifier is a TokenVerifier that knows one token.
type verifier struct{}

var errOther = errors.New("another token")

func (verifier) Recognizes(t auth.Token) bool { return !t.IsZero() }

func (verifier) Known(t auth.Token) (auth.Caller, bool) {
	return auth.Caller{Name: "known"}, t.Equal(auth.NewToken("good"))
}

func (v verifier) Verify(_ context.Context, t auth.Token) (auth.Caller, error) {
	if caller, ok := v.Known(t); ok {
		return caller, nil
	}
	return auth.Caller{}, errOther
}

// TestABearerMethodIgnoresCertificates and passes everything else on.
func TestABearerMethodIgnoresCertificates(t *testing.T) {
	m := broker.Bearer(verifier{})
	good, other := certificate("cert"), certificate("cert")
	good.Token, other.Token = auth.NewToken("good"), auth.NewToken("other")
	if m.Recognizes(certificate("cert")) || !m.Recognizes(good) {
		t.Error("Recognizes is wrong")
	}
	if caller, ok := m.Known(good); !ok || caller.Name != "known" {
		t.Error("Known is wrong")
	}
	if _, err := m.Identify(t.Context(), other); !errors.Is(err, errOther) {
		t.Errorf("Identify returns %v", err)
	}
}
