package e2e

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	// strangers is the number of addresses of attackers that send JWTs: each has a
	// failure rate of its own, so most of their tokens are verified.
	strangers = 200

	// jwtMemory is the most memory in bytes of a gateway whose attackers send JWTs.
	jwtMemory = 128 << 20
)

// TestAttackByJWTsAffectsNoOtherClient sends JWTs that no issuer signed. Good clients
// have a JWT, known and new ones. The gateway fetches no URL that a token names.
func TestAttackByJWTsAffectsNoOtherClient(t *testing.T) {
	t.Parallel()
	var named atomic.Int64
	stranger := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { named.Add(1) }))
	t.Cleanup(stranger.Close)
	checkNamed := func(a *attackRun) {
		if n := named.Load(); n != 0 {
			a.Errorf("URLs in tokens received %d requests, want none", n)
		}
	}
	header := jwt.MapClaims{"jku": stranger.URL, "x5u": stranger.URL, "jwk": newSigningKey(t, "key-1").jwk()}
	attacks := []attack{
		{name: "JWTs with forged signatures", run: floodJWTs(nil, nil)},
		{name: "JWTs that name their keys", run: floodJWTs(header, nil), check: checkNamed},
		{name: "JWTs of invented issuers", check: checkNamed, run: floodBy(func(a *attackRun, n int64) string {
			return forgedJWT(nil, a.brokering.issuer.claims("orders", jwt.MapClaims{"iss": fmt.Sprint(stranger.URL, "/", n)}))
		})},
		{name: "JWTs of 8 KB", run: floodJWTs(nil, jwt.MapClaims{"padding": strings.Repeat("x", 6000)})},
		{name: "JWTs without a kid", run: floodJWTs(jwt.MapClaims{"kid": nil}, nil)},
		{name: "bombs in JWTs", run: floodBombs},
		{name: "random tokens", run: guessTokens},
		{name: "random tokens beside JWTs", brokered: "anypoint,jwt", run: guessTokens},
	}
	for i := range attacks {
		attacks[i].addresses, attacks[i].memory = strangers, jwtMemory
		if attacks[i].brokered == "" {
			attacks[i].brokered = "jwt"
		}
	}
	checkAttacks(t, append(attacks, attack{
		name: "JWTs with forged signatures from the address of good clients", brokered: "jwt", sameAddress: true,
		knownTokensOnly: true, memory: jwtMemory, run: floodJWTs(nil, nil),
	})...)
}

// TestAttackByUnknownKeysAffectsNoOtherClient sends JWTs of keys that do not exist. They
// cause few requests to the issuer, keep no new key from being found, and hold no good
// client up while the issuer does not answer.
func TestAttackByUnknownKeysAffectsNoOtherClient(t *testing.T) {
	t.Parallel()
	unknownKeys := func(a *attackRun, n int64) string {
		return forgedJWT(jwt.MapClaims{"kid": fmt.Sprint("key-", n)}, a.brokering.issuer.claims("orders", nil))
	}
	var began time.Time
	checkAttacks(t, attack{
		name: "JWTs of unknown keys", brokered: "jwt", addresses: strangers, memory: jwtMemory, runsToItsEnd: true,
		run: func(a *attackRun) {
			began = time.Now()
			a.parallel(2, func(i int) {
				if i == 0 {
					floodBy(unknownKeys)(a)
					return
				}
				defer a.stop()
				a.useNewKey()
			})
		},
		check: func(a *attackRun) {
			// Two requests for each fetch: at the start, and one in ten seconds.
			most := 2 * (2 + int(time.Since(began)/(10*time.Second)))
			if n := a.brokering.issuer.received(); n > most {
				a.Errorf("the issuer received %d requests, want at most %d", n, most)
			}
		},
	}, attack{
		name: "JWTs of unknown keys, a silent issuer", brokered: "jwt", addresses: strangers, memory: jwtMemory,
		run: func(a *attackRun) {
			a.brokering.issuer.setSilent(true)
			floodBy(unknownKeys)(a)
		},
	})
}

// useNewKey lets the issuer publish a new key, and waits until the gateway accepts a
// token that it signed.
func (a *attackRun) useNewKey() {
	k := newSigningKey(a.T, "key-new")
	a.brokering.issuer.publish(k)
	c := a.newClient(false, false)
	c.token = k.token(a.T, a.brokering.issuer.claims("orders", nil))
	began := time.Now()
	for {
		answer, err := c.try(http.MethodGet, keyOne, "")
		switch {
		case err == nil && answer.status == http.StatusOK:
			return
		case time.Since(began) > testTimeout:
			a.Errorf("a new key was not accepted within %v: %v, %+v", testTimeout, err, answer)
			return
		}
		pause(newTokenPause) // below the failure rate of the good clients' address
	}
}

// TestAttackWithJWTHeadersAffectsNoOtherClient repeats attacks by headers and slow
// requests against a gateway for clients with a JWT, with forged JWTs.
func TestAttackWithJWTHeadersAffectsNoOtherClient(t *testing.T) {
	t.Parallel()
	const large = 50 << 10 // bytes, below the gateway's header limit with the token
	with := func(headers ...string) func(*attackRun) {
		return func(a *attackRun) {
			token := forgedJWT(nil, a.brokering.issuer.claims("orders", nil))
			repeatRequest(16, rawGET("gateway", keyOne, append(headers, "Authorization: Bearer "+token)...))(a)
		}
	}
	slowly := func(line, more string) func(*attackRun) {
		return func(a *attackRun) {
			token := forgedJWT(nil, a.brokering.issuer.claims("orders", nil))
			head := line + " HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer " + token + "\r\n"
			a.sendSlowly(500, head+more, 200*time.Millisecond)
		}
	}
	attacks := []attack{
		{name: "large headers beside JWTs", run: with("X-Large: " + strings.Repeat("x", large))},
		{name: "many JWTs in one request", run: with(slices.Repeat([]string{"X-A: eyJhbGciOiJFUzI1NiJ9.e30.e30"}, 1000)...)},
		{name: "slow headers beside JWTs", waitsUntilReady: true, run: slowly("GET "+keyOne, "X-Slow: ")},
		{name: "slow bodies beside JWTs", waitsUntilReady: true, run: slowly("PUT "+keyOne, "Content-Length: 10000\r\n\r\n")},
	}
	for i := range attacks {
		attacks[i].brokered, attacks[i].memory = "jwt", jwtMemory
	}
	checkAttacks(t, attacks...)
}

// TestAttackByNewJWTsFillsNoMemory is a client with a valid JWT that uses each of its
// tokens once.
func TestAttackByNewJWTsFillsNoMemory(t *testing.T) {
	t.Parallel()
	checkAttacks(t, attack{
		name: "valid JWTs without end", brokered: "jwt", memory: jwtMemory,
		run: func(a *attackRun) {
			a.parallel(8, func(int) {
				a.repeat(func() error {
					_, err := a.exchange(rawGET("gateway", keyOne, "Authorization: Bearer "+a.brokering.issuer.token("greedy")))
					return err
				})
			})
		},
	})
}

// floodJWTs sends forged JWTs for the gateway with these changes. Each has another
// signature.
func floodJWTs(header, changes jwt.MapClaims) func(*attackRun) {
	return floodBy(func(a *attackRun, n int64) string {
		claims := a.brokering.issuer.claims("orders", changes)
		claims["jti"] = n
		return forgedJWT(header, claims)
	})
}

// floodBombs sends JWTs that are small and expensive for a careless parser.
func floodBombs(a *attackRun) {
	encode := base64.RawURLEncoding.EncodeToString
	const header, signature = `{"alg":"ES256","kid":"key-1"}`, "c2lnbmF0dXJl"
	issuer := `"iss":"` + a.brokering.issuer.url + `"`
	payloads := []string{
		`{` + issuer + `,"x":` + strings.Repeat("[", 1400) + strings.Repeat("]", 1400) + `}`,
		`{` + issuer + `,"x":` + strings.Repeat(`{"x":`, 450) + "1" + strings.Repeat("}", 450) + `}`,
		`{` + issuer + strings.Repeat(`,"sub":"orders"`, 180) + `}`,
		`{` + issuer + `,"exp":1e` + strings.Repeat("9", 2500) + `}`,
		`{` + issuer + `,"exp":` + strings.Repeat("9", 2700) + `}`,
		`{` + issuer + `,"aud":[` + strings.Repeat(`"",`, 850) + `""]}`,
		`{` + issuer + `,"sub":"` + strings.Repeat(`\ud83d\ude00`, 220) + `"}`,
	}
	tokens := []string{
		encode([]byte(strings.Repeat("[", 2900))) + ".e30." + signature,
		encode([]byte(`{"alg":"RSA-OAEP","enc":"A256GCM","zip":"DEF"}`)) + strings.Repeat("."+strings.Repeat("A", 900), 4),
		encode([]byte(header)) + strings.Repeat(".", 3900),
		strings.Repeat("eyJhbGciOiJub25lIn0.", 200),
	}
	for _, payload := range payloads {
		tokens = append(tokens, encode([]byte(header))+"."+encode([]byte(payload))+"."+signature)
	}
	floodBy(func(_ *attackRun, n int64) string { return tokens[n%int64(len(tokens))] })(a)
}

// floodBy lets attackers send the tokens of next, each over a new connection. No token
// may be accepted, and none may be a failure of the gateway.
func floodBy(next func(a *attackRun, n int64) string) func(*attackRun) {
	return func(a *attackRun) {
		var n, wrong atomic.Int64
		a.parallel(8, func(int) {
			a.repeat(func() error {
				status, err := a.exchange(rawGET("gateway", keyOne, "Authorization: Bearer "+next(a, n.Add(1))))
				switch status {
				case 0, http.StatusUnauthorized, http.StatusTooManyRequests, http.StatusServiceUnavailable:
				default:
					wrong.Store(int64(status))
				}
				return err
			})
		})
		if status := wrong.Load(); status != 0 {
			a.Errorf("a token that nobody signed was answered with %d", status)
		}
	}
}

// forgedJWT returns a JWT for ES256 with a random signature. The header has changes;
// nil removes a member.
func forgedJWT(header, claims jwt.MapClaims) string {
	all := jwt.MapClaims{"alg": "ES256", "typ": "JWT", "kid": "key-1"}
	for name, value := range header {
		if all[name] = value; value == nil {
			delete(all, name)
		}
	}
	encode := base64.RawURLEncoding.EncodeToString
	head, _ := json.Marshal(all)    // strings and numbers cannot fail to marshal
	body, _ := json.Marshal(claims) // likewise
	signature := make([]byte, 64)
	_, _ = rand.Read(signature) // never fails (crypto/rand)
	return encode(head) + "." + encode(body) + "." + encode(signature)
}
