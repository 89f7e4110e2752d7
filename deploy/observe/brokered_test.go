package observe

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"
)

// brokered is a gateway whose clients have JWTs, with their issuer.
type brokered struct {
	*gateway
	issuer string
	key    ed25519.PrivateKey
}

// startBrokered starts an issuer of JWTs, and a gateway for its clients.
func (r *run) startBrokered(osgate, policy string) brokered {
	r.t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		r.t.Fatal(err)
	}
	b := brokered{key: private}
	issuer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.URL.Path == "/keys" {
			_, _ = fmt.Fprintf(w, `{"keys":[{"kty":"OKP","crv":"Ed25519","x":%q}]}`, encode(public))
			return
		}
		_, _ = fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q}`, b.issuer, b.issuer+"/keys")
	}))
	r.t.Cleanup(issuer.Close)
	b.issuer = issuer.URL
	b.gateway = r.start(osgate, "OSGATE_AUTH=jwt", "OSGATE_AUTH_ISSUERS="+b.issuer, "OSGATE_AUTH_AUDIENCE=osgate",
		"OSGATE_POLICY="+policy, "OSGATE_DEFAULT_REGION=us/us-east-1",
		"OSGATE_UPSTREAM_CLIENT_ID=app-one", "OSGATE_UPSTREAM_CLIENT_SECRET=secret-one")
	return b
}

// round reads a key with a good JWT, and sends credentials that are refused.
func (b brokered) round() {
	now := time.Now()
	b.ask(http.MethodGet, keyOne, b.token(now.Add(time.Hour)), "")
	b.ask(http.MethodGet, keyOne, b.token(now.Add(-time.Hour)), "")
	b.ask(http.MethodGet, keyOne, "no-jwt", "")
}

// token returns a JWT that ends at this time.
func (b brokered) token(end time.Time) string {
	signed := encode([]byte(`{"alg":"EdDSA"}`)) + "." +
		encode(fmt.Appendf(nil, `{"iss":%q,"aud":"osgate","sub":"orders","exp":%d}`, b.issuer, end.Unix()))
	return signed + "." + encode(ed25519.Sign(b.key, []byte(signed)))
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
