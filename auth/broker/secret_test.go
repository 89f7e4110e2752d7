package broker_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"osgate/auth"
	"osgate/auth/broker"
)

// TestNothingPrintsASecretOrAToken: no error and no exported value, in any form.
func TestNothingPrintsASecretOrAToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const secret, token, jwt = "the-secret", "the-token", "the.client.jwt"
		w := newWorld(t)
		w.use(secret)
		o := w.options()
		tokens := w.tokens(t)
		i := w.identifier(t, tokens, &counter{}, newMethod(auth.ByJWT))
		values := []any{o, &o, tokens, i, broker.IdentifierOptions{Tokens: tokens}, auth.Minter{ClientID: "app-one"}}
		keep := func(v any, err error) { values = append(values, v, err) }

		w.answer(http.StatusUnauthorized, secret)
		keep(tokens.Token(t.Context(), "us"))
		keep(i.Identify(t.Context(), "us", bearer(jwt), "here"))
		keep(tokens.States(), nil)
		w.answer(http.StatusOK, `{"access_token":"`+token+`","expires_in":"`+secret+`"}`)
		keep(tokens.Token(t.Context(), "eu"))
		w.answer(http.StatusOK, `{"access_token":"`+token+`"}`)
		pass(time.Minute)
		minted := must(t, tokens)
		keep(minted, nil)
		keep(auth.Minted{Token: minted}, nil)
		keep(i.Identify(t.Context(), "us", bearer(jwt), "here")) // the emulator refuses that token
		for range 2 {
			tokens.Refused("us", minted)
			minted, _ = tokens.Token(t.Context(), "us")
		}
		keep(tokens.Token(t.Context(), "us"))
		keep(tokens.States(), nil)
		keep(w.changes, nil)
		keep(bearer(jwt).Token, nil)

		for _, v := range values {
			for _, text := range printed(v) {
				for _, hidden := range []string{secret, token, jwt} {
					if strings.Contains(text, hidden) || strings.Contains(text, fmt.Sprintf("%x", hidden)) {
						t.Errorf("%T prints %q: %s", v, hidden, text)
					}
				}
			}
		}
	})
}

// printed returns v in every form in which a program may print it.
func printed(v any) []string {
	var texts []string
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		texts = append(texts, fmt.Sprintf(verb, v))
	}
	encoded, _ := json.Marshal(v) //nolint:errchkjson // some values cannot be encoded
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("value", "v", v)
	slog.New(slog.NewTextHandler(&log, nil)).Info("value", "v", v)
	return append(texts, string(encoded), log.String())
}
