package auth_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"osgate/auth"
)

// resolvers returns both kinds, for a control plane that answers 200 with body.
func resolvers(body string) map[string]auth.Resolver {
	answers := transport(func(*http.Request) (*http.Response, error) { return response(http.StatusOK, nil, body), nil })
	return map[string]auth.Resolver{
		"me":         &auth.Anypoint{Endpoint: endpoint, Transport: answers},
		"introspect": &auth.Introspection{Endpoint: endpoint, Transport: answers},
	}
}

// An answer that two readers may read differently names no principal, and that concerns
// its token alone. A member with a name in another case is another member.
func TestIdentityIsReadStrictly(t *testing.T) {
	for _, tt := range []struct{ by, name, body, want string }{
		{"me", "client in another case, after", `{"client":{"client_id":"app"},"Client":{"client_id":"evil"}}`, "app"},
		{"me", "client in another case, before", `{"CLIENT":{"client_id":"evil"},"client":{"client_id":"app"}}`, "app"},
		{"me", "client id in another case", `{"client":{"client_id":"app","Client_ID":"evil"}}`, "app"},
		{"me", "folded letters", `{"client":{"client_id":"app","c\u017flient_id":"evil","client_\u0131d":"evil"}}`, "app"},
		{"me", "client in another case only", `{"Client":{"client_id":"evil"}}`, "unclear"},
		{"me", "client twice", `{"client":{"client_id":"app"},"client":{"client_id":"evil"}}`, "unclear"},
		{"me", "client twice, escaped", `{"client":{"client_id":"app"},"\u0063lient":{"client_id":"evil"}}`, "unclear"},
		{"me", "client id twice", `{"client":{"client_id":"app","client_id":"app"}}`, "unclear"},
		{"me", "an unknown member twice, deep", `{"client":{"client_id":"app"},"x":[{"y":1,"y":2}]}`, "unclear"},
		{"me", "organizations twice", `{"user":{"id":"u","memberOfOrganizations":[],"memberOfOrganizations":[{"id":"o"}]}}`, "unclear"},
		{"me", "invalid UTF-8", "{\"client\":{\"client_id\":\"a\xff\"}}", "unclear"},
		{"me", "invalid UTF-8 of an unknown member", "{\"client\":{\"client_id\":\"a\"},\"x\":\"\xff\"}", "unclear"},
		{"me", "half a surrogate pair", `{"client":{"client_id":"a\ud800"}}`, "unclear"},
		{"me", "another object behind", `{"client":{"client_id":"app"}}{"client":{"client_id":"evil"}}`, "unclear"},
		{"me", "more behind", `{"client":{"client_id":"app"}} true`, "trouble"},
		{"me", "white space around", "\r\n {\"client\":{\"client_id\":\"app\"}} \n", "app"},
		{"me", "unknown members", `{"client":{"client_id":"app","x":{"client_id":"y"}},"z":[{"client":1}]}`, "app"},
		{"me", "too deep", `{"client":{"client_id":"app"},"x":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `}`, "unclear"},
		{"me", "too long", `{"client":{"client_id":"app"},"x":"` + strings.Repeat("x", 8<<20) + `"}`, "unclear"},
		{"me", "a web page", "<html>", "trouble"},
		{"me", "cut", `{"client":{"client_id":"app"`, "trouble"},
		{"introspect", "active in another case, after", `{"active":false,"ACTIVE":true,"client_id":"app"}`, "refused"},
		{"introspect", "active in another case only", `{"Active":true,"client_id":"app"}`, "unclear"},
		{"introspect", "active twice", `{"active":true,"active":true,"client_id":"app"}`, "unclear"},
		{"introspect", "client in another case, after", `{"active":true,"client_id":"app","CLIENT_ID":"evil"}`, "app"},
		{"introspect", "an end in another case", `{"active":true,"client_id":"app","exp":1,"EXP":4102444800}`, "refused"},
		{"introspect", "an end twice", `{"active":true,"client_id":"app","exp":1,"exp":4102444800}`, "unclear"},
		{"introspect", "more behind", `{"active":true,"client_id":"app"}{}`, "unclear"},
		{"introspect", "invalid UTF-8", "{\"active\":true,\"client_id\":\"a\xc0\xaf\"}", "unclear"},
		{"introspect", "a web page", "<html>", "trouble"},
	} {
		id, err := resolve(t, resolvers(tt.body)[tt.by], "us", token)
		failure, _ := errors.AsType[*auth.UnavailableError](err)
		got := ""
		switch {
		case err == nil:
			got = id.Client
		case errors.Is(err, auth.ErrBadToken):
			got = "refused"
		case failure != nil && failure.Answered:
			got = "unclear"
		case failure != nil:
			got = "trouble"
		}
		if got != tt.want {
			t.Errorf("%s, %s: %s (%v), want %s", tt.by, tt.name, got, err, tt.want)
		}
	}
}

func TestMintedTokenIsReadStrictly(t *testing.T) {
	for body, want := range map[string]string{
		`{"access_token":"a","Access_Token":"b"}`: "a",
		`{"ACCESS_TOKEN":"b"}`:                    "",
		`{"access_token":"a","access_token":"b"}`: "",
		`{"access_token":"a","x":1,"x":2}`:        "",
		"{\"access_token\":\"a\",\"x\":\"\xff\"}": "",
	} {
		if got, ok := auth.MintedToken([]byte(body)); ok != (want != "") || got.Header() != "Bearer "+want {
			t.Errorf("%s: %q, want %q", body, got.Header(), want)
		}
	}
}

func TestEnvironmentTypesAreReadStrictly(t *testing.T) {
	for body, want := range map[string]string{
		`{"data":[{"id":"e","type":"production","Type":"sandbox"}],"Data":[]}`:           "production",
		`{"data":[{"id":"e","TYPE":"sandbox","isProduction":true}]}`:                     "production",
		`{"data":[{"id":"e","type":"production"},{"id":"e","type":"production"}]}`:       "production",
		`{"data":[{"id":"e","type":"production"},{"id":"e","type":"sandbox"}]}`:          "unknown",
		`{"data":[{"id":"e","type":"production","type":"sandbox"}]}`:                     "error",
		`{"data":[{"id":"e","type":"production"}],"data":[{"id":"e","type":"sandbox"}]}`: "error",
		`{"data":[{"id":"e","type":"sandbox"}]}{}`:                                       "error",
	} {
		a := &auth.Anypoint{Endpoint: endpoint, Transport: transport(func(*http.Request) (*http.Response, error) { return response(http.StatusOK, nil, body), nil })}
		types, err := a.ListEnvironments(t.Context(), "us", "org", token)
		if got := types["e"]; (err != nil) != (want == "error") || err == nil && got != want {
			t.Errorf("%s: %q, %v; want %s", body, got, err, want)
		}
	}
}

// oracle reads text with encoding/json, with exact names. It fails if text is no JSON
// object or has a name twice anywhere.
func oracle(text []byte) (map[string]any, bool) {
	var object map[string]any
	if json.Unmarshal(text, &object) != nil || object == nil || duplicated(text) {
		return nil, false
	}
	return object, true
}

// duplicated reports whether a name occurs twice in one object of text, which is valid.
func duplicated(text []byte) bool {
	d := json.NewDecoder(bytes.NewReader(text))
	var open []map[string]bool // one for each open object; nil for a list
	name := false              // a name follows, if in an object
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return false
		}
		switch in := len(open) - 1; {
		case token == json.Delim('{'):
			open, name = append(open, map[string]bool{}), true
			continue
		case token == json.Delim('['):
			open, name = append(open, nil), false
			continue
		case token == json.Delim('}'), token == json.Delim(']'):
			open = open[:in]
		case in >= 0 && open[in] != nil && name:
			text, _ := token.(string)
			if open[in][text] {
				return true
			}
			open[in][text], name = true, false
			continue
		}
		name = len(open) > 0 && open[len(open)-1] != nil
	}
}

// FuzzIdentityIsReadStrictly compares both resolvers with encoding/json, which reads a
// map with exact names: the principal is the one in single, exactly named members. A
// member with a name in another case changes no principal, while a second one of the
// same name makes an answer unclear.
func FuzzIdentityIsReadStrictly(f *testing.F) {
	for _, body := range []string{
		`{"client":{"client_id":"app","org_id":"o"}}`, `{"user":{"id":"u"}}`, `{"client":{"client_id":"a"},"user":{"id":"u","organization":{"id":"o"}}}`,
		`{"active":true,"client_id":"app"}`, `{"active":true,"sub":"s","exp":4102444800}`, `{"active":false}`, `{"Active":true,"client_id":"a"}`,
		`{"client":{"client_id":"a","client_id":"b"}}`, `{"a":[{"b":1,"b":2}],"client":{"client_id":"a"}}`, "{\"client\":{\"client_id\":\"\xff\"}}",
	} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		for kind, asker := range resolvers(body) {
			id, err := resolve(t, asker, "us", token)
			if err != nil {
				continue
			}
			object, ok := oracle([]byte(body))
			if !ok {
				t.Fatalf("%s: %q is no single object without duplicates, and names %+v", kind, body, id)
			}
			client, member := object["client_id"], "client_id"
			if kind == "me" {
				inner, _ := object["client"].(map[string]any)
				client, member = inner["client_id"], "client"
			} else if active, _ := object["active"].(bool); !active {
				t.Errorf("%q is active", body)
			}
			if name, _ := client.(string); name != id.Client {
				t.Errorf("%s: %q names %q, want %q", kind, body, id.Client, name)
			}
			change(t, kind, body, id.Name(), member)
		}
	})
}

// change inserts a member into body that would name another principal, with the same
// case and with another.
func change(t *testing.T, kind, body, name, member string) {
	t.Helper()
	value := map[string]string{"client": `{"client_id":"evil"}`, "client_id": `"evil"`}[member]
	front := func(name string) string { return strings.Replace(body, "{", `{"`+name+`":`+value+`,`, 1) }
	if strings.TrimLeft(body, " \t\r\n")[1:] == "}" { // an empty object has no comma
		return
	}
	object, _ := oracle([]byte(body))
	other := strings.ToUpper(member)
	if _, taken := object[other]; !taken {
		if id, err := resolve(t, resolvers(front(other))[kind], "us", token); err != nil || id.Name() != name {
			t.Errorf("%s: with %s in front, %q names %+v, %v; want %s", kind, other, body, id, err, name)
		}
	}
	if _, has := object[member]; has {
		if id, err := resolve(t, resolvers(front(member))[kind], "us", token); err == nil {
			t.Errorf("%s: with a second %s, %q names %+v", kind, member, body, id)
		}
	}
}
