package auth_test

import (
	"net/http"
	"strings"
	"testing"

	"osgate/auth"
)

// documented are the calls of the vendor's documented sequence, as clients send them.
var documented = []struct {
	method, path string
	call         auth.Call
	name, route  string
	mints        bool
}{
	{http.MethodPost, "/accounts/oauth2/token", auth.Mint, "mintToken", "/accounts/oauth2/token", true},
	{http.MethodPost, "/accounts/api/v2/oauth2/token", auth.Mint, "mintToken", "/accounts/api/v2/oauth2/token", true},
	{http.MethodPost, "/accounts/login", auth.Login, "login", "/accounts/login", true},
	{http.MethodPost, "/accounts/api/login", auth.Login, "login", "/accounts/api/login", true},
	{http.MethodPost, "/accounts/api/v2/oauth2/revoke", auth.Revoke, "revokeToken", "/accounts/api/v2/oauth2/revoke", false},
	{http.MethodGet, "/accounts/api/me", auth.Me, "me", "/accounts/api/me", false},
	{http.MethodGet, "/accounts/api/users/me", auth.Me, "me", "/accounts/api/users/me", false},
	{http.MethodGet, "/accounts/api/profile", auth.Profile, "profile", "/accounts/api/profile", false},
	{
		http.MethodGet, "/accounts/api/organizations/0F3b-_9", auth.GetOrganization, "getOrganization",
		"/accounts/api/organizations/{organizationId}", false,
	},
	{
		http.MethodGet, "/accounts/api/organizations/0F3b-_9/environments/e-1", auth.GetEnvironment, "getEnvironment",
		"/accounts/api/organizations/{organizationId}/environments/{environmentId}", false,
	},
	{
		http.MethodGet, "/accounts/api/organizations/0F3b-_9/environments", auth.Environments, "listEnvironments",
		"/accounts/api/organizations/{organizationId}/environments", false,
	},
}

func TestDocumentedCallsAreRead(t *testing.T) {
	for _, tt := range documented {
		call, ok := auth.ReadCall(tt.method, tt.path)
		if !ok || call != tt.call || call.String() != tt.name || call.Route(tt.path) != tt.route || call.Mints() != tt.mints {
			t.Errorf("%s %s: %v (%v), route %s, mints %v", tt.method, tt.path, call, ok, call.Route(tt.path), call.Mints())
		}
	}
}

func TestOtherPathsAreNoCall(t *testing.T) {
	methods := []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions, "get", "post", "", "GET /x"}
	for _, tt := range documented {
		for _, method := range methods {
			if method != tt.method {
				noCall(t, method, tt.path)
			}
		}
		for _, path := range []string{
			tt.path + "/", tt.path + "?", tt.path + "//", "/" + tt.path, strings.ToUpper(tt.path), tt.path + "%20", tt.path + ";a=b", tt.path + "/.", tt.path + "/..",
			strings.Replace(tt.path, "/", "//", 1), strings.Replace(tt.path, "accounts", "%61ccounts", 1), strings.Replace(tt.path, "/accounts/", "/accounts%2F", 1),
			strings.Replace(tt.path, "/accounts", "/x/../accounts", 1), strings.Replace(tt.path, "/accounts", "/accounts/.", 1), "/us" + tt.path, tt.path[1:],
		} {
			noCall(t, tt.method, path)
		}
	}
	for _, path := range []string{
		"", "/", "/accounts", "/accounts/", "/accounts/api", "/accounts/api/oauth2/token", "/accounts/api/v2/oauth2/introspect", "/accounts/api/oauth2/introspect",
		"/accounts/api/users", "/accounts/api/organizations", "/accounts/api/organizations/o/users", "/accounts/api/organizations/o/environments/e/x", "/accounts/api/organizations/o/users/e",
		"/accounts/api/connectedApplications", "/accounts/api/me/environments", "GET /accounts/api/me",
	} {
		noCall(t, http.MethodGet, path)
		noCall(t, http.MethodPost, path)
	}
	if none := auth.Call(0); none.String() != "none" || none.Mints() {
		t.Errorf("the zero call is %v and mints: %v", none, none.Mints())
	}
}

func TestIDsAreLettersDigitsAndTwoSigns(t *testing.T) {
	for c := range rune(128) {
		id := string(c)
		allowed := strings.ContainsAny(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")
		if call, ok := auth.ReadCall(http.MethodGet, "/accounts/api/organizations/"+id); ok != allowed || ok && call != auth.GetOrganization {
			t.Errorf("organization %q: %v, %t; want a call: %t", id, call, ok, allowed)
		}
	}
}

// An organization id that two servers might decode or split differently is invalid.
func TestOddOrganizationIsNoCall(t *testing.T) {
	for _, id := range []string{
		"", ".", "..", "%2e%2e", "%2E", "a/b", "a%2Fb", "a%2fb", "a%5Cb", `a\b`, "a%252Fb", "a%00", "a\x00", "a b", "a+b", "a%20b", "a;b", "a:b", "a~b", "a.b", "a@b", "a|b",
		"a*", "é", "%C3%A9", "\xff", "o/environments/..", "o/environments/environments", "../me?", "o#", "o?x=", "/", "o/",
	} {
		noCall(t, http.MethodGet, "/accounts/api/organizations/"+id+"/environments")
		noCall(t, http.MethodGet, "/accounts/api/organizations/"+id+"/environments/e")
		if !strings.HasSuffix(id, "/environments/environments") {
			noCall(t, http.MethodGet, "/accounts/api/organizations/"+id)
		}
		noCall(t, http.MethodGet, "/accounts/api/organizations/o/environments/"+id)
	}
}

func noCall(t *testing.T, method, path string) {
	t.Helper()
	if call, ok := auth.ReadCall(method, path); ok || call != 0 {
		t.Errorf("%s %q is %v", method, path, call)
	}
}

// A path that is a call means the same to every server: it has no percent-encoding, no
// dot segments and only listed parts.
func FuzzReadCall(f *testing.F) {
	for _, tt := range documented {
		f.Add(tt.method, tt.path)
	}
	f.Add(http.MethodGet, "/accounts/api/organizations/a%2Fb/environments")
	f.Fuzz(func(t *testing.T, method, path string) {
		call, ok := auth.ReadCall(method, path)
		if !ok {
			if call != 0 {
				t.Errorf("%s %q is %v, and none", method, path, call)
			}
			return
		}
		if strings.ContainsAny(path, "%\\.?#;") || strings.Contains(path, "//") || !visible(path) || method != http.MethodGet && method != http.MethodPost {
			t.Errorf("%s %q is %v", method, path, call)
		}
		for _, tt := range documented {
			if call.Route(path) == tt.route && call == tt.call && method == tt.method {
				return
			}
		}
		t.Errorf("%s %q is %v, which is not documented", method, path, call)
	})
}

func TestMintedTokenIsRead(t *testing.T) {
	long := strings.Repeat("x", 4096)
	for _, tt := range []struct{ name, body, want string }{
		{"connected app", `{"access_token":"t","expires_in":3600,"token_type":"bearer"}`, "t"},
		{"login", `{"access_token":"t","token_type":"bearer","redirectUrl":"/home/"}`, "t"},
		{"refresh", "{\n \"refresh_token\":\"r\",\"access_token\":\"t\"}\n", "t"},
		{"longest", `{"access_token":"` + long + `"}`, long},
		{"too long", `{"access_token":"x` + long + `"}`, ""},
		{"second factor", `{"url":"https://anypoint.mulesoft.com/mfa","body":{}}`, ""},
		{"empty", `{"access_token":""}`, ""},
		{"null", `{"access_token":null}`, ""},
		{"number", `{"access_token":7}`, ""},
		{"a line break", `{"access_token":"t\r\nX-Evil: 1"}`, ""},
		{"a blank", `{"access_token":"a b"}`, ""},
		{"beyond ASCII", `{"access_token":"é"}`, ""},
		{"error", `{"error":"invalid_client"}`, ""},
		{"cut", `{"access_token":"t"`, ""},
		{"followed by more", `{"access_token":"t"}{"access_token":"u"}`, ""},
		{"text", "Unauthorized", ""},
		{"list", `[{"access_token":"t"}]`, ""},
		{"nothing", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			token, ok := auth.MintedToken([]byte(tt.body))
			if ok != (tt.want != "") || token.Header() != "Bearer "+tt.want {
				t.Errorf("MintedToken = %q, %v; want %q", token.Header(), ok, tt.want)
			}
		})
	}
}

// A minted token is accepted in a request.
func FuzzMintedToken(f *testing.F) {
	f.Add([]byte(`{"access_token":"t"}`))
	f.Add([]byte(`{"access_token":"a\u0000b"}`))
	f.Add([]byte(`{"access_token":"\u007f"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		minted, ok := auth.MintedToken(body)
		if !ok {
			return
		}
		if read, err := auth.ReadToken(http.Header{"Authorization": {minted.Header()}}); err != nil || read.Header() != minted.Header() {
			t.Errorf("%q reads as %q, %v", minted.Header(), read.Header(), err)
		}
	})
}
