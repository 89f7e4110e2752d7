package auth_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"osgate/auth"
)

func TestRevokedTokensAreRead(t *testing.T) {
	const form, object = "application/x-www-form-urlencoded", "application/json"
	for _, tt := range []struct {
		name, contentType, body string
		want                    []string
	}{
		{"form", form, "token=a&token_type_hint=access_token", []string{"a"}},
		{"form with parameters", form + "; charset=UTF-8", "token=a", []string{"a"}},
		{"form of the client's credentials", form, "client_id=c&client_secret=s&token=a", []string{"a"}},
		{"encoded", form, "%74oken=a%2Bb%2f", []string{"a+b/"}},
		{"twice", form, "token=a&token=b", []string{"a", "b"}},
		{"empty and not", form, "token=&token=b", []string{"b"}},
		{"type in capitals", "Application/JSON", `{"token":"a"}`, []string{"a"}},
		{"object", object, ` {"client_id":"c","token" : "a", "more":{"token":"not"},"list":["token","x"]} `, []string{"a"}},
		{"object, twice", object, `{"token":"a","token":"b","\u0074oken":"c"}`, []string{"a", "b", "c"}},
		{"object, escaped", object, `{"token":"\u0061"}`, []string{"a"}},
		{"many", form, strings.Repeat("token=a&", 100), slices.Repeat([]string{"a"}, 16)},
		{"form as an object", object, "token=a", nil},
		{"object as a form", form, `{"token":"a"}`, nil},
		{"malformed form", form, "token=a&x=%zz", nil},
		{"semicolons", form, "token=a;token=b", nil},
		{"malformed object", object, `{"token":"a"`, nil},
		{"object and more", object, `{"token":"a"}{"token":"b"}`, nil},
		{"list", object, `["token","a"]`, nil},
		{"text", object, `"token"`, nil},
		{"null", object, `null`, nil},
		{"number", object, `{"token":7}`, nil},
		{"nothing", object, ``, nil},
		{"no form", form, ``, nil},
		{"another type", "text/plain", "token=a", nil},
		{"no type", "", "token=a", nil},
		{"a line break", object, `{"token":"a\r\nb"}`, nil},
		{"a blank", form, "token=a+b", nil},
		{"as long as may be", form, "token=" + strings.Repeat("x", 4096), []string{strings.Repeat("x", 4096)}},
		{"too long", form, "token=" + strings.Repeat("x", 4097), nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, token := range auth.RevokedTokens(tt.contentType, []byte(tt.body)) {
				got = append(got, strings.TrimPrefix(token.Header(), "Bearer "))
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

// Each token named in a revoke request is one that a request may contain, and their
// number is limited.
func FuzzRevokedTokens(f *testing.F) {
	f.Add(true, []byte(`{"token":"a","token":"b"}`))
	f.Add(true, []byte(`{"token":{"token":"a"}}`))
	f.Add(false, []byte("token=a&token=%00"))
	f.Fuzz(func(t *testing.T, object bool, body []byte) {
		contentType := "application/x-www-form-urlencoded"
		if object {
			contentType = "application/json"
		}
		tokens := auth.RevokedTokens(contentType, body)
		if len(tokens) > 16 {
			t.Errorf("%d tokens", len(tokens))
		}
		for _, token := range tokens {
			if read, err := auth.ReadToken(http.Header{"Authorization": {token.Header()}}); err != nil || read.Header() != token.Header() {
				t.Errorf("%q reads as %q, %v", token.Header(), read.Header(), err)
			}
		}
	})
}
