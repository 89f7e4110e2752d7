package e2e

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// The shape of the store and of the rights: keys a0-b0 … a9-b9, and identities whose
// rules permit some prefixes and some suffixes of keys.
const (
	rightsIdentities = 1000
	rightsNames      = 10 // prefixes, and as many suffixes
	rightsRequests   = 1000
)

// right is what the policy permits one identity, and the same as a set of keys.
type right struct{ prefix, suffix, forbidden int }

// reads reports whether the identity may read the key a-b.
func (r right) reads(a, b int) bool {
	return (a == r.prefix || b == r.suffix) && b != r.forbidden
}

// rules returns the rules that express r for a client.
func (r right) rules(client string) string {
	return fmt.Sprintf(`@id("%[1]s-reads")
permit (principal == Client::"%[1]s", action in [Action::"getKey", Action::"headKey"], resource)
when { resource.key like "a%[2]d-*" || resource.key like "*-b%[3]d" };
@id("%[1]s-never")
forbid (principal == Client::"%[1]s", action, resource)
when { resource.key like "*-b%[4]d" };
`, client, r.prefix, r.suffix, r.forbidden)
}

// rightsWorld is a store, identities with rights, and the gateways.
type rightsWorld struct {
	gateways    []*gateway
	credentials []string // the headers of JWTs and certificates, by identity
	rights      []right
	hits        atomic.Int64
	denied      atomic.Int64
	served      atomic.Int64
}

// TestNoneOfAThousandIdentitiesReadsWhatPolicyDenies lets random identities read random
// keys of one store, with an entry of the cache for each client, and with one for all.
// Half of them have a JWT and half a certificate. The result is always that of the
// identity's own rules.
func TestNoneOfAThousandIdentitiesReadsWhatPolicyDenies(t *testing.T) {
	t.Parallel()
	for _, scope := range []string{"client", "environment"} {
		t.Run(scope, func(t *testing.T) {
			t.Parallel()
			withAndWithoutRedis(t, func(t *testing.T, s *stack) {
				seed := seed()
				random := rand.New(rand.NewPCG(seed, 0))
				w := s.rightsWorld(t, random, "CACHE_SCOPE="+scope)
				w.readAtRandom(t, random)
				if t.Failed() {
					t.Logf("repeat it with -seed %d", seed)
				}
				served, denied, hits := w.served.Load(), w.denied.Load(), w.hits.Load()
				fewHits := scope == "environment" && hits < served/4
				if served < rightsRequests/20 || denied < rightsRequests/4 || fewHits {
					t.Errorf("%d served, %d of them hits, %d denied: proves little", served, hits, denied)
				}
			})
		})
	}
}

// rightsWorld fills the store, and starts the gateways: two if they share a Redis.
func (s *stack) rightsWorld(t *testing.T, random *rand.Rand, setting string) *rightsWorld {
	t.Helper()
	b, ca, w := s.brokering(t), newClientCA(t), &rightsWorld{}
	direct := client{t: t, base: s.emulator.url + "/us/us-east-1", token: s.emulator.mintAt(t, "app-one", "us")}
	for n := range rightsNames * rightsNames {
		key := fmt.Sprintf("a%d-b%d", n/rightsNames, n%rightsNames)
		direct.put(key, "value-of-"+key).succeeded()
	}
	var rules strings.Builder
	for i := range rightsIdentities {
		r := right{random.IntN(rightsNames), random.IntN(rightsNames), random.IntN(rightsNames)}
		name := fmt.Sprint("spiffe://example.com/identity-", i)
		credential := "Authorization: Bearer " + b.issuer.token(name)
		if i%2 == 1 {
			credential = "Client-Cert: " + clientCertHeader(ca.issue(name))
		}
		w.rights, w.credentials = append(w.rights, r), append(w.credentials, credential)
		rules.WriteString(r.rules(name))
	}
	f := newRules(t, "")
	f.write(rules.String())
	b.policy = f.setting()
	for len(w.gateways) == 0 || len(w.gateways) < 2 && s.redis != nil {
		w.gateways = append(w.gateways, s.gateway(b.settings(setting, "LOG_LEVEL=warn", "AUTH=mtls,jwt", "TLS_CLIENT_CA="+ca.file,
			"AUTH_MTLS_HEADER=Client-Cert", "TRUSTED_PROXIES=127.0.0.0/8")...))
	}
	return w
}

// readAtRandom reads random keys as random identities, several at a time.
func (w *rightsWorld) readAtRandom(t *testing.T, random *rand.Rand) {
	t.Helper()
	var readers sync.WaitGroup
	for range 8 {
		random := rand.New(rand.NewPCG(random.Uint64(), random.Uint64()))
		readers.Go(func() {
			for range rightsRequests / 8 {
				w.readOne(t, random)
			}
		})
	}
	readers.Wait()
}

// readOne sends one request, and checks its answer against the rights of its identity.
// One in ten requests lists values, which no rule permits.
func (w *rightsWorld) readOne(t *testing.T, random *rand.Rand) {
	i, a, b := random.IntN(rightsIdentities), random.IntN(rightsNames), random.IntN(rightsNames)
	c := client{t: t, base: w.gateways[random.IntN(len(w.gateways))].url, headers: w.credentials[i : i+1]}
	key := fmt.Sprintf("a%d-b%d", a, b)
	method, path, permitted := http.MethodGet, demoKeys+"/"+key, w.rights[i].reads(a, b)
	switch random.IntN(10) {
	case 0:
		path, permitted = strings.TrimSuffix(demoKeys, "/keys"), false
	case 1:
		method = http.MethodHead
	}
	answer, err := c.try(method, path, "")
	if err != nil {
		t.Errorf("identity %d: %s %s: %v", i, method, path, err)
		return
	}
	read := answer.status == http.StatusOK || method == http.MethodHead && answer.status == http.StatusNoContent
	switch {
	case read != permitted, !read && answer.status != http.StatusForbidden:
		t.Errorf("identity %d with %+v: %s: %d, want success: %v; %s",
			i, w.rights[i], answer.request, answer.status, permitted, answer.body)
	case !read && (strings.Contains(answer.body, "value-of-") || answer.header.Get("Etag") != "" ||
		answer.header.Get("Cache-Status") != ""):
		t.Errorf("identity %d: the refusal of %s shows the entry: %v %s", i, answer.request, answer.header, answer.body)
	case read && method == http.MethodGet && !strings.Contains(answer.body, `"value-of-`+key+`"`):
		t.Errorf("identity %d: %s has another value: %s", i, answer.request, answer.body)
	}
	w.count(answer, read)
}

func (w *rightsWorld) count(a *answer, read bool) {
	switch {
	case !read:
		w.denied.Add(1)
	case isHit(a):
		w.hits.Add(1)
		fallthrough
	default:
		w.served.Add(1)
	}
}
