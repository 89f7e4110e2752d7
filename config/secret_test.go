package config_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"osgate/config"
)

// secrets returns an environment of secrets and the texts that must never be shown.
func secrets() (environ, texts []string) {
	return []string{
			"OSGATE_SECRET=" + goodKey(),
			"OSGATE_ADMIN_TOKEN=admin-hunter2",
			"OSGATE_REDIS_URL=redis://user:redis-hunter2@redis:6379/0",
			"OSGATE_AUTH_INTROSPECTION_URL=https://idp:8443/introspect?key=query-hunter2",
		},
		[]string{goodKey(), "0123456789abcdef0123456789abcdef", "hunter2"}
}

// findSecret fails the test if text contains a secret.
func findSecret(t *testing.T, where, text string, secrets []string) {
	t.Helper()
	for _, secret := range secrets {
		// Verbs such as %x print bytes in other forms.
		for _, form := range []string{secret, fmt.Sprintf("%x", secret), fmt.Sprintf("%X", secret), fmt.Sprint([]byte(secret))} {
			if strings.Contains(text, strings.Trim(form, "[]")) {
				t.Errorf("%s shows secret %q: %s", where, secret, text)
			}
		}
	}
}

func TestAConfigPrintsNoSecret(t *testing.T) {
	environ, texts := secrets()
	c := loaded(t, environ...)
	// Types with a field whose methods fmt cannot call.
	type hidden struct{ c config.Config }
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x", "%X", "%T", "%p"} {
		findSecret(t, verb, fmt.Sprintf(verb, c), texts)
		findSecret(t, verb, fmt.Sprintf(verb, &c), texts)
		findSecret(t, verb, fmt.Sprintf(verb, hidden{c}), texts)
		findSecret(t, verb, fmt.Sprintf(verb, c.Admin.Token), texts)
		findSecret(t, verb, fmt.Sprintf(verb, []config.Secret{c.Redis.URL}), texts)
		findSecret(t, verb, fmt.Sprintf(verb, []config.URL{c.Auth.IntrospectionURL}), texts)
	}
	encoded, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	findSecret(t, "JSON", string(encoded), texts)
	rows, err := json.Marshal(c.Table())
	if err != nil {
		t.Fatal(err)
	}
	findSecret(t, "JSON of the table", string(rows), texts)

	var log bytes.Buffer
	for _, handler := range []slog.Handler{slog.NewTextHandler(&log, nil), slog.NewJSONHandler(&log, nil)} {
		slog.New(handler).Info("configuration", "config", c, "token", c.Admin.Token, "url", c.Auth.IntrospectionURL, "table", c.Table())
	}
	findSecret(t, "slog", log.String(), texts)

	var table bytes.Buffer
	if err := errors.Join(config.WriteTable(&table, c.Table()), config.WriteMarkdown(&table, c.Table())); err != nil {
		t.Fatal(err)
	}
	findSecret(t, "the table", table.String(), texts)
}

func TestASecretPrintsAsRedacted(t *testing.T) {
	s, none := config.NewSecret("hunter2"), config.Secret{}
	const want = "[redacted]"
	for verb, got := range map[string]string{
		"String": s.String(), "GoString": s.GoString(), "%v": fmt.Sprintf("%v", s), "%d": fmt.Sprintf("%d", s),
		"%#v": fmt.Sprintf("%#v", s), "LogValue": s.LogValue().String(),
	} {
		if got != want {
			t.Errorf("%s of a secret is %q, want %q", verb, got, want)
		}
	}
	encoded, err := json.Marshal(map[string]any{"a": s, "b": map[config.Secret]int{s: 1}, "c": none})
	if got, want := string(encoded), `{"a":"[redacted]","b":{"[redacted]":1},"c":""}`; err != nil || got != want {
		t.Errorf("JSON of secrets is %s, %v, want %s", got, err, want)
	}
	if none.String() != "" || none.Reveal() != "" || config.NewSecret("") != none {
		t.Error("the empty secret does not show that it is empty")
	}
	if got := s.Reveal(); got != "hunter2" {
		t.Errorf("Reveal() = %q, want hunter2", got)
	}
}

func TestErrorsHoldNoSecret(t *testing.T) {
	for _, environ := range [][]string{
		{"OSGATE_SECRET=hunter2"},
		{"OSGATE_SECRET=hunter2*"},
		{"OSGATE_ADMIN_TOKEN=hunter2 "},
		{"OSGATE_ADMIN_TOKN=hunter2"},
		{"OSGATE_SECRET_FILE=hunter2"},
		{"OSGATE_ADMIN_TOKEN_FILE=/hunter2\x00"},
		{"OSGATE_SECRET_FILE=" + secretFile(t, "hunter2")},
		{"OSGATE_SECRET=hunter2", "OSGATE_SECRET_FILE=hunter2"},
		{"OSGATE_AUTH_CLIENT_SECRET=hunter2", "OSGATE_AUTH=introspect"},
		{"OSGATE_AUTH_CLIENT_SECRET_FILE=hunter2"},
		{"OSGATE_REDIS_URL=redis://:hunter2@h:port"},
		{"OSGATE_REDIS_URL=redis://:hunter2@h/x"},
		{"OSGATE_REDIS_URL=rds://:hunter2@h"},
		{"OSGATE_REDIS_URL=redis://:\x7fhunter2@h"},
		{"OSGATE_REDIS_URL=redis://:hunter2%zz@h"},
		{"OSGATE_UPSTREAM_OVERRIDE=http://u:hunter2@h"},
		{"OSGATE_UPSTREAM_OVERRIDE=http://u:hunter2%zz@h"},
		{"OSGATE_UPSTREAM_OVERRIDE=http://u:hunter2@h:port"},
		{"OSGATE_UPSTREAM_OVERRIDE=http://h?key=hunter2"},
		{"OSGATE_AUTH_INTROSPECTION_URL=http://h:port?key=hunter2"},
		{"OSGATE_AUTH_INTROSPECTION_URL=https://u:hunter2@h/introspect"},
		{"OSGATE_AUTH_INTROSPECTION_URL=https://h/introspect?key=hunter2#part"},
	} {
		_, err := config.Load(environ)
		if err == nil {
			t.Errorf("Load(%q) succeeded, want an error", environ)
			continue
		}
		for _, form := range []string{err.Error(), fmt.Sprintf("%+v", err), fmt.Sprintf("%#v", err)} {
			findSecret(t, environ[0], form, []string{"hunter2"})
		}
	}
}

func TestAURLIsShownWithoutItsQuery(t *testing.T) {
	const whole, shown = "https://idp:8443/introspect?key=hunter2", "https://idp:8443/introspect?[redacted]"
	c := loaded(t, "OSGATE_AUTH_INTROSPECTION_URL="+whole, "OSGATE_UPSTREAM_OVERRIDE=http://osemu:8090")
	for name, want := range map[string]string{
		"OSGATE_AUTH_INTROSPECTION_URL": shown,
		"OSGATE_UPSTREAM_OVERRIDE":      "http://osemu:8090",
	} {
		if got := row(t, c, name).Value; got != want {
			t.Errorf("the table shows %s as %q, want %q", name, got, want)
		}
	}
	if got := c.Auth.IntrospectionURL.String(); got != shown {
		t.Errorf("String() = %q, want %q", got, shown)
	}
	if got := c.Auth.IntrospectionURL.Reveal().String(); got != whole {
		t.Errorf("Reveal() = %q, want the whole URL", got)
	}
	if got := (config.URL{}).String(); got != "" {
		t.Errorf("no URL is shown as %q, want nothing", got)
	}
}
