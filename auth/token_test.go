package auth_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"osgate/auth"
)

func TestBearerTokenIsRead(t *testing.T) {
	long := strings.Repeat("x", 4096)
	for _, tt := range []struct {
		name, value, want string
		err               error
	}{
		{"as documented", "Bearer 0f3b1c1e-6f3a-4ad4-9a77-1c5a2a5e8d11", "0f3b1c1e-6f3a-4ad4-9a77-1c5a2a5e8d11", nil},
		{"scheme in lower case", "bearer t", "t", nil},
		{"scheme in upper case", "BEARER t", "t", nil},
		{"scheme in mixed case", "bEaReR t", "t", nil},
		{"all that is visible", `Bearer !"#$%&'()*+,-./09:;<=>?@AZ[\]^_az{|}~`, `!"#$%&'()*+,-./09:;<=>?@AZ[\]^_az{|}~`, nil},
		{"blanks around", " \tBearer  \t t \t", "t", nil},
		{"longest", "Bearer " + long, long, nil},
		{"too long", "Bearer " + long + "x", "", auth.ErrBadToken},
		{"two in one header", "Bearer a, Bearer b", "", auth.ErrBadToken},
		{"a blank within", "Bearer a b", "", auth.ErrBadToken},
		{"a tab within", "Bearer a\tb", "", auth.ErrBadToken},
		{"a control byte", "Bearer a\x00b", "", auth.ErrBadToken},
		{"a line break", "Bearer a\r\nX-Evil: b", "", auth.ErrBadToken},
		{"DEL", "Bearer a\x7f", "", auth.ErrBadToken},
		{"a letter beyond ASCII", "Bearer é", "", auth.ErrBadToken},
		{"a byte beyond ASCII", "Bearer \xff", "", auth.ErrBadToken},
		{"empty", "", "", auth.ErrNoToken},
		{"scheme alone", "Bearer", "", auth.ErrNoToken},
		{"scheme and blanks", "Bearer \t ", "", auth.ErrNoToken},
		{"token alone", "0f3b1c1e-6f3a-4ad4-9a77-1c5a2a5e8d11", "", auth.ErrNoToken},
		{"another scheme", "Basic YTpi", "", auth.ErrNoToken},
		{"a longer scheme", "Bearerx t", "", auth.ErrNoToken},
		{"a letter that folds to ASCII", "bea\u017fer t", "", auth.ErrNoToken},
		{"tab after the scheme", "Bearer\tt", "", auth.ErrNoToken},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := auth.ReadToken(http.Header{"Authorization": {tt.value}})
			if !errors.Is(err, tt.err) || got.Header() != "Bearer "+tt.want {
				t.Errorf("ReadToken(%q) = %q, %v; want %q, %v", tt.value, got.Header(), err, tt.want, tt.err)
			}
		})
	}
}

func TestOneAuthorizationHeaderIsRead(t *testing.T) {
	for _, values := range [][]string{{"Bearer a", "Bearer b"}, {"Bearer a", "Bearer a"}, {"Bearer a", ""}, {"", "Bearer a"}, {"Basic YTpi", "Bearer a"}} {
		if got, err := auth.ReadToken(http.Header{"Authorization": values}); !errors.Is(err, auth.ErrManyTokens) || got.Header() != "Bearer " {
			t.Errorf("ReadToken(%q) = %q, %v, want %v", values, got.Header(), err, auth.ErrManyTokens)
		}
	}
	if _, err := auth.ReadToken(http.Header{"X-Authorization": {"Bearer a"}}); !errors.Is(err, auth.ErrNoToken) {
		t.Errorf("without the header: %v, want %v", err, auth.ErrNoToken)
	}
}

// A token that is read is visible ASCII, limited in length, and reads back as itself;
// an invalid one yields an error, and so do two headers.
func FuzzReadToken(f *testing.F) {
	for _, value := range []string{
		"Bearer t", "bearer \t t", "BEARER\tt", "bEARER t\t", "Bearer ", "Bearer  ", "DPoP t", "Bearer t=,",
		"Bearer a b", "Bearer", "Basic YTpi", "Bearer \xff", "Bearer a\r\nb", "", " Bearer t ", "Bearer " + strings.Repeat("x", 4097),
	} {
		f.Add(value)
	}
	f.Fuzz(func(t *testing.T, value string) {
		token, err := auth.ReadToken(http.Header{"Authorization": {value}})
		text := strings.TrimPrefix(token.Header(), "Bearer ")
		switch {
		case err == nil && (text == "" || len(text) > 4096 || !visible(text)):
			t.Errorf("ReadToken(%q) = %q", value, text)
		case err != nil && (text != "" || !errors.Is(err, auth.ErrNoToken) && !errors.Is(err, auth.ErrBadToken)):
			t.Errorf("ReadToken(%q) = %q beside %v", value, text, err)
		case err != nil && strings.HasPrefix(value, "Bearer ") && len(value) > 7 && len(value) <= 7+4096 && visible(value[7:]):
			t.Errorf("ReadToken(%q): %v", value, err)
		}
		if scheme, text, ok := strings.Cut(value, " "); ok {
			for _, other := range []string{strings.ToUpper(scheme), strings.ToLower(scheme)} {
				same, errSame := auth.ReadToken(http.Header{"Authorization": {other + " " + text}})
				if strings.EqualFold(scheme, "bearer") && (same.Header() != token.Header() || (errSame == nil) != (err == nil)) {
					t.Errorf("%q as %q is %q, %v", value, other, same.Header(), errSame)
				}
			}
		}
		again, errAgain := auth.ReadToken(http.Header{"Authorization": {token.Header()}})
		if err == nil && (errAgain != nil || again.Header() != token.Header()) {
			t.Errorf("%q reads back as %q, %v", token.Header(), again.Header(), errAgain)
		}
		if _, err := auth.ReadToken(http.Header{"Authorization": {value, "Bearer t"}}); !errors.Is(err, auth.ErrManyTokens) {
			t.Errorf("%q and another: %v, want %v", value, err, auth.ErrManyTokens)
		}
	})
}

func visible(text string) bool {
	for _, b := range []byte(text) {
		if b <= ' ' || b >= 0x7f {
			return false
		}
	}
	return true
}

const secret = "5ecre7-70ken"

// exposes reports whether printed contains the secret, plain, in hexadecimal, in base64
// or as a list of bytes.
func exposes(printed, secret string) bool {
	decimal, syntax := fmt.Sprint([]byte(secret)), fmt.Sprintf("%#v", []byte(secret))
	for _, form := range []string{
		secret, hex.EncodeToString([]byte(secret)), base64.StdEncoding.EncodeToString([]byte(secret)),
		strings.Trim(decimal, "[]"), strings.TrimSuffix(strings.TrimPrefix(syntax, "[]byte{"), "}"),
	} {
		if strings.Contains(strings.ToLower(printed), strings.ToLower(form)) {
			return true
		}
	}
	return false
}

// The verbs that print a value, and those that print it as a mistake.
var (
	verbs    = []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "% x", "%d", "%t", "%10.3v"}
	mistakes = []string{"%p", "%w", "%!"}
)

// prints returns the texts of v by fmt, slog and JSON.
func prints(t *testing.T, v any, verbs ...string) map[string]string {
	t.Helper()
	printed := map[string]string{}
	for _, verb := range verbs {
		printed[verb] = fmt.Sprintf(verb, v)
	}
	var text, object bytes.Buffer
	slog.New(slog.NewTextHandler(&text, nil)).Info("m", "v", v, slog.Group("g", "v", v))
	slog.New(slog.NewJSONHandler(&object, nil)).Info("m", "v", v, slog.Group("g", "v", v))
	encoded, err := json.Marshal(v)
	printed["slog text"], printed["slog JSON"], printed["JSON"] = text.String(), object.String(), fmt.Sprint(string(encoded), err)
	return printed
}

func TestTokenNeverPrints(t *testing.T) {
	token := auth.NewToken(secret)
	for how, printed := range prints(t, token, verbs...) {
		if !strings.Contains(printed, "[redacted]") {
			t.Errorf("by %s: %q, want [redacted]", how, printed)
		}
	}
	if token.String() != "[redacted]" || token.GoString() != "[redacted]" {
		t.Errorf("String %q, GoString %q", token.String(), token.GoString())
	}
	type exported struct{ Token auth.Token }
	type hidden struct{ token auth.Token }
	for name, v := range map[string]any{
		"token": token, "pointer": &token, "field": exported{token}, "unexported field": hidden{token}, "pointer to unexported": &hidden{token},
		"slice": []auth.Token{token}, "slice of hidden": []hidden{{token}}, "map": map[string]auth.Token{"a": token}, "any": struct{ v any }{token},
		"error": fmt.Errorf("asking with %v", token),
	} {
		for how, printed := range prints(t, v, append(verbs, mistakes...)...) {
			if exposes(printed, secret) {
				t.Errorf("%s by %s: %s", name, how, printed)
			}
		}
	}
}

// emptyResolver is a resolver that encodes as JSON, as functions do not.
type emptyResolver struct{}

func (emptyResolver) Lookup(context.Context, string, auth.Token) (auth.Answer, error) {
	return auth.Answer{}, auth.ErrBadToken
}

func (emptyResolver) Validator(string) string { return "nobody" }

func TestSecretOfHashesNeverPrints(t *testing.T) {
	o := auth.Options{Resolver: emptyResolver{}, TTL: ttl, NegativeTTL: negativeTTL, Secret: []byte(secret)}
	a := newAuthenticator(t, no, func(to *auth.Options) { *to = o })
	for name, v := range map[string]any{"options": o, "pointer": &o, "field": struct{ Options auth.Options }{o}, "authenticator": a, "its holder": struct{ a any }{a}} {
		for how, printed := range prints(t, v, verbs...) {
			if exposes(printed, secret) {
				t.Errorf("%s by %s: %s", name, how, printed)
			}
		}
	}
	for how, printed := range prints(t, o, verbs...) {
		if !strings.Contains(printed, "[redacted]") {
			t.Errorf("options by %s: %q, want [redacted]", how, printed)
		}
	}
	if o.String() != "[redacted]" || o.GoString() != "[redacted]" || o.LogValue().String() != "[redacted]" {
		t.Errorf("String %q, GoString %q, LogValue %q", o.String(), o.GoString(), o.LogValue())
	}
}
