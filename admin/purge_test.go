package admin_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"osgate/admin"
)

const (
	asJSON = "Content-Type: application/json"
	asForm = "Content-Type: application/x-www-form-urlencoded"
)

func TestPurgeSelectsAllOrAPlace(t *testing.T) {
	store := admin.PurgeRequest{Location: "us/us-east-1", Organization: "org", Environment: "env", Store: "store"}
	key := store
	key.Partition, key.Key = "DEFAULT_PARTITION", "a b/é"
	for _, tt := range []struct {
		name, contentType, body string
		want                    admin.PurgeRequest
	}{
		{"all", asJSON, `{"all":true}`, admin.PurgeRequest{All: true}},
		{"all, as a form", asForm, `all=true`, admin.PurgeRequest{All: true}},
		{"a store", asJSON, `{"location":"us/us-east-1","organization":"org","environment":"env","store":"store"}`, store},
		{"a store, as a form", asForm, `all=false&location=us/us-east-1&organization=org&environment=env&store=store`, store},
		{"a key", asJSON + "; charset=utf-8", `{"location":"us/us-east-1","organization":"org","environment":"env","store":"store","partition":"DEFAULT_PARTITION","key":"a b/é"}`, key},
		{"a key, as a form", asForm, `location=us%2Fus-east-1&organization=org&environment=env&store=store&partition=DEFAULT_PARTITION&key=a+b/%C3%A9`, key},
		{"an organization", asJSON, `{"location":"eu/eu-west-1","organization":"org"}`, admin.PurgeRequest{Location: "eu/eu-west-1", Organization: "org"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got admin.PurgeRequest
			o := options()
			o.Purge = func(_ context.Context, p admin.PurgeRequest) (int, error) { got = p; return 3, nil }
			answer := send(t, newHandler(t, o), http.MethodPost, "/cache/purge", tt.body, tt.contentType)
			if body := text(t, answer); answer.StatusCode != http.StatusOK || body != `{"purged":3}` {
				t.Errorf("%d %s, want 200 and 3", answer.StatusCode, body)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("purged (-want +got):\n%s", diff)
			}
		})
	}
}

func TestInvalidPurgeNamesTheField(t *testing.T) {
	place := `"location":"us/us-east-1","organization":"org"`
	for _, tt := range []struct {
		name, contentType, body, field string
		status                         int
	}{
		{"nothing", asJSON, `{}`, "location", 400},
		{"null", asJSON, `null`, "location", 400},
		{"an empty form", asForm, ``, "location", 400},
		{"all is false", asJSON, `{"all":false}`, "location", 400},
		{"no organization", asJSON, `{"location":"us/us-east-1"}`, "organization", 400},
		{"a region alone", asJSON, `{"location":"us-east-1","organization":"org"}`, "location", 400},
		{"two slashes", asJSON, `{"location":"us/us-east-1/x","organization":"org"}`, "location", 400},
		{"a location with a space", asJSON, `{"location":"us/us east 1","organization":"org"}`, "location", 400},
		{"a store without environment", asJSON, `{` + place + `,"store":"store"}`, "environment", 400},
		{"a key without partition", asJSON, `{` + place + `,"environment":"env","store":"store","key":"k"}`, "partition", 400},
		{"all and a place", asJSON, `{"all":true,` + place + `}`, "location", 400},
		{"all as text", asJSON, `{"all":"true"}`, "all", 400},
		{"a number", asJSON, `{"location":1}`, "location", 400},
		{"an unknown field", asJSON, `{"everything":true}`, "everything", 400},
		{"an unknown field of a form", asForm, `everything=true`, "everything", 400},
		{"a field twice", asForm, `all=true&all=true`, "all", 400},
		{"all is yes", asForm, `all=yes`, "all", 400},
		{"a control character", asJSON, `{` + place + `,"environment":"a\u0000b"}`, "environment", 400},
		{"no UTF-8 in a form", asForm, `location=us/us-east-1&organization=%FF`, "organization", 400},
		{"no UTF-8 in JSON", asJSON, "{\"location\":\"us/us-east-1\",\"organization\":\"\xff\"}", "", 400},
		{"an array", asJSON, `[]`, "", 400},
		{"cut JSON", asJSON, `{"all":`, "", 400},
		{"two values", asJSON, `{"all":true}{}`, "", 400},
		{"no form", asForm, `all=%zz`, "", 400},
		{"no media type", "X-Nothing: x", `{"all":true}`, "", 415},
		{"another media type", "Content-Type: text/plain", `{"all":true}`, "", 415},
		{"too large", asJSON, `{"location":"` + strings.Repeat("x", 1<<20) + `"}`, "", 413},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := options()
			o.Purge = func(_ context.Context, p admin.PurgeRequest) (int, error) {
				t.Errorf("purged %+v", p)
				return 0, nil
			}
			p := readProblem(t, send(t, newHandler(t, o), http.MethodPost, "/cache/purge", tt.body, tt.contentType), tt.status)
			if p.Field != tt.field {
				t.Errorf("field %q, want %q (%s)", p.Field, tt.field, p.Detail)
			}
		})
	}
}

func TestInputErrorOfAPurgeNamesTheField(t *testing.T) {
	o := options()
	o.Purge = func(context.Context, admin.PurgeRequest) (int, error) {
		return 0, &admin.InputError{Field: "location", Detail: "is none of the 17 locations"}
	}
	answer := send(t, newHandler(t, o), http.MethodPost, "/cache/purge", `{"location":"us/mars","organization":"org"}`, asJSON)
	if p := readProblem(t, answer, http.StatusBadRequest); p.Field != "location" || p.Detail != "is none of the 17 locations" {
		t.Errorf("problem %+v", p)
	}
}

func TestPurgeOfThisProcessAloneIsAnError(t *testing.T) {
	var logged strings.Builder
	o := options()
	o.Logger = slog.New(slog.NewTextHandler(&logged, nil))
	o.Purge = func(context.Context, admin.PurgeRequest) (int, error) { return 5, errReplica }
	answer := send(t, newHandler(t, o), http.MethodPost, "/cache/purge", `{"all":true}`, asJSON)
	p := readProblem(t, answer, http.StatusServiceUnavailable)
	if p.Purged == nil || *p.Purged != 5 || strings.Contains(p.Detail, errReplica.Error()) {
		t.Errorf("problem %+v, want 5 purged and no detail of Redis", p)
	}
	if !strings.Contains(logged.String(), errReplica.Error()) {
		t.Errorf("the log does not contain the reason: %s", logged.String())
	}
}

func TestPurgeIsLoggedWithoutTheKey(t *testing.T) {
	var logged strings.Builder
	o := options()
	o.Logger = slog.New(slog.NewTextHandler(&logged, nil))
	send(t, newHandler(t, o), http.MethodPost, "/cache/purge",
		`{"location":"us/us-east-1","organization":"org","environment":"env","store":"store-1","partition":"partition-1","key":"key-1"}`, asJSON)
	if got := logged.String(); !strings.Contains(got, "store-1") || strings.Contains(got, "key-1") || strings.Contains(got, "partition-1") {
		t.Errorf("logged %s, want the store and neither partition nor key", got)
	}
}

// TestPurgeIsReportedForTheAuditFile with its place, its status and the operator's
// address; without partition and key.
func TestPurgeIsReportedForTheAuditFile(t *testing.T) {
	for status, err := range map[int]error{http.StatusOK: nil, http.StatusServiceUnavailable: errReplica} {
		var got []admin.Action
		o := options()
		o.Purge = func(context.Context, admin.PurgeRequest) (int, error) { return 5, err }
		o.Acted = func(a admin.Action) { got = append(got, a) }
		h := newHandler(t, o)
		send(t, h, http.MethodPost, "/cache/purge",
			`{"location":"us/us-east-1","organization":"org","environment":"env","store":"store-1","partition":"partition-1","key":"key-1"}`, asJSON)
		send(t, h, http.MethodPost, "/cache/purge", `{`, asJSON) // changes nothing
		if len(got) != 1 || got[0].Name != "purge" || got[0].Status != status || got[0].RemoteAddr == "" {
			t.Fatalf("reported %+v, want one purge with status %d", got, status)
		}
		text := fmt.Sprint(got[0].Parameters)
		if !strings.Contains(text, "store-1") || strings.Contains(text, "key-1") || strings.Contains(text, "partition-1") {
			t.Errorf("parameters %s, want the store and neither partition nor key", text)
		}
	}
}

// Any body is either refused or purges only what it names; it never purges all by
// mistake.
func FuzzPurgeDropsOnlyWhatIsNamed(f *testing.F) {
	f.Add(true, `{"all":true}`)
	f.Add(true, `{"location":"us/us-east-1","organization":"org","key":"k"}`)
	f.Add(false, `all=true`)
	f.Add(false, `location=us/us-east-1&organization=org&environment=&store=s`)
	f.Add(true, `{"ALL":true,"all":false}`)
	f.Fuzz(func(t *testing.T, inJSON bool, body string) {
		o := options()
		o.Purge = func(_ context.Context, p admin.PurgeRequest) (int, error) {
			switch {
			case p.All && p != admin.PurgeRequest{All: true}, !p.All && (p.Location == "" || p.Organization == ""), p.Key != "" && p.Partition == "":
				t.Errorf("%q purges %+v", body, p)
			case p.All && !strings.Contains(strings.ToLower(body), "l") && !strings.Contains(body, "%"):
				t.Errorf("%q purges all", body)
			}
			return 0, nil
		}
		contentType := asForm
		if inJSON {
			contentType = asJSON
		}
		if got := send(t, newHandler(t, o), http.MethodPost, "/cache/purge", body, contentType).StatusCode; got >= 500 {
			t.Errorf("%q is answered %d", body, got)
		}
	})
}
