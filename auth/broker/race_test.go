package broker_test

import (
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"osgate/auth"
	"osgate/auth/broker"
)

// instant is a token endpoint that answers at once, and now and then refuses.
type instant struct {
	mints atomic.Int64
	fails bool
}

func (e *instant) RoundTrip(*http.Request) (*http.Response, error) {
	n := e.mints.Add(1)
	status := http.StatusOK
	if e.fails && n%3 == 0 {
		status = []int{http.StatusUnauthorized, http.StatusBadGateway}[n%2]
	}
	body := `{"access_token":"` + strconv.FormatInt(n, 10) + `","expires_in":3600}`
	return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader(body))}, nil
}

func (e *instant) tokens(t testing.TB) *broker.Tokens {
	t.Helper()
	tokens, err := broker.NewTokens(broker.Options{
		Endpoint: func(plane string) auth.Endpoint {
			return auth.Endpoint{URL: &url.URL{Scheme: "http", Host: "memory"}, Host: plane}
		},
		ClientID: "app", Transport: e, Secret: func() (string, error) { return "secret", nil },
		OnChange: func(broker.State) {},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tokens.Close)
	return tokens
}

// TestCallersThatComeWhileAMintEnds cause no second mint.
func TestCallersThatComeWhileAMintEnds(t *testing.T) {
	for range 500 {
		e := &instant{}
		tokens := e.tokens(t)
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() { must(t, tokens) })
		}
		all.Wait()
		if n := e.mints.Load(); n != 1 {
			t.Fatalf("%d mints", n)
		}
		tokens.Close()
	}
}

// TestAllCallsAtOnce, for the race detector: each call returns a token or an error.
func TestAllCallsAtOnce(t *testing.T) {
	e := &instant{fails: true}
	tokens := e.tokens(t)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 500 {
				plane := []string{"us", "eu"}[rand.N(2)]
				token, err := tokens.Token(t.Context(), plane)
				if (err == nil) == token.IsZero() {
					t.Errorf("a token: %v, and %v", !token.IsZero(), err)
				}
				switch rand.N(4) {
				case 0:
					tokens.Accepted(plane, token)
				case 1:
					tokens.Refused(plane, token)
				case 2:
					tokens.Forbidden(plane, broker.Place{Environment: "e"})
				default:
					tokens.States()
				}
			}
		})
	}
	all.Wait()
}
