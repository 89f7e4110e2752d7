package clientcert

import (
	"crypto/sha256"
	"crypto/x509"
	"hash"
	"sync"
	"sync/atomic"
	"time"

	"osgate/auth"
	"osgate/internal/recent"
)

// refusedFor is how long a refusal is repeated without another check.
const refusedFor = 10 * time.Second

// The numbers of certificates that are remembered at least; twice as many at most.
// Refused ones are remembered apart, so that they displace no others.
const (
	maxAccepted = 2048
	maxRefused  = 128
)

// known is a certificate that was checked.
type known struct {
	certificate *x509.Certificate
	between     []*x509.Certificate // which the client has sent with it
	hash        [sha256.Size]byte
	verdict     atomic.Pointer[verdict]
}

// verdict is the result of a check. It is immutable.
type verdict struct {
	trust       *trust // the files that it was made with
	from, until time.Time
	caller      auth.Caller
	err         error // nil: accepted
}

// holds reports whether the verdict is still true at now with the files t.
func (v *verdict) holds(t *trust, now time.Time) bool {
	return v.trust == t && !now.Before(v.from) && !now.After(v.until)
}

// certificates remembers certificates that were checked. It is safe for concurrent use.
type certificates struct {
	mu sync.Mutex
	// One certificate has an address for each connection, and a text for each chain.
	addresses recent.Map[*x509.Certificate, *known]
	texts     recent.Map[string, *known]
	hashes    recent.Map[[sha256.Size]byte, *known]
	refused   recent.Map[*x509.Certificate, *known]
}

func newCertificates() certificates {
	return certificates{
		addresses: recent.New[*x509.Certificate, *known](maxAccepted),
		texts:     recent.New[string, *known](maxAccepted),
		hashes:    recent.New[[sha256.Size]byte, *known](maxAccepted),
		refused:   recent.New[*x509.Certificate, *known](maxRefused),
	}
}

// get returns the certificate at an address; nil if it is not known.
func (c *certificates) get(address *x509.Certificate) *known {
	c.mu.Lock()
	defer c.mu.Unlock()
	if k, ok := c.addresses.Get(address); ok {
		return k
	}
	k, _ := c.refused.Get(address)
	return k
}

// getHash returns the accepted certificate with that hash; nil if it is not known.
func (c *certificates) getHash(hash [sha256.Size]byte) *known {
	c.mu.Lock()
	defer c.mu.Unlock()
	k, _ := c.hashes.Get(hash)
	return k
}

// put remembers k under its hash, one more address, and the header that contained it.
func (c *certificates) put(k *known, address *x509.Certificate, text string, accepted bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !accepted {
		c.refused.Put(address, k)
		return
	}
	c.hashes.Put(k.hash, k)
	c.addresses.Put(k.certificate, k)
	c.addresses.Put(address, k)
	if text != "" {
		c.texts.Put(text, k)
	}
}

// meet checks a certificate that is new, or forgotten, and remembers it. text is the
// header that contained it; empty: none did.
func (v *Verifier) meet(c *x509.Certificate, between []*x509.Certificate, text string) *known {
	k := &known{certificate: c, between: between, hash: v.hash(c)}
	if same := v.certificates.getHash(k.hash); same != nil && v.judge(same).err == nil {
		k = same // otherwise the certificates that came with c now may lead to a CA
	}
	v.certificates.put(k, c, text, v.judge(k).err == nil)
	return k
}

// hash returns the keyed hash of a certificate. The first byte keeps it apart from
// hashes of tokens with the same key.
func (v *Verifier) hash(c *x509.Certificate) (h [sha256.Size]byte) {
	mac, _ := v.macs.Get().(hash.Hash)
	mac.Reset()
	_, _ = mac.Write([]byte("mtls\n"))
	_, _ = mac.Write(c.Raw)
	mac.Sum(h[:0])
	v.macs.Put(mac)
	return h
}

// judge returns the verdict about a certificate now: the last one if it still holds.
func (v *Verifier) judge(k *known) *verdict {
	now, t := time.Now(), v.trust.Load()
	if last := k.verdict.Load(); last != nil && last.holds(t, now) {
		return last
	}
	next := decide(k, t, now)
	k.verdict.Store(next)
	return next
}

// decide checks a certificate with t at now.
func decide(k *known, t *trust, now time.Time) *verdict {
	c := k.certificate
	next := &verdict{trust: t, from: now, until: now.Add(refusedFor)}
	switch {
	case now.Before(c.NotBefore):
		next.err = refuse(ReasonNotYetValid, nil)
	case now.After(c.NotAfter):
		next.err = refuse(ReasonExpired, nil)
	}
	if next.err != nil {
		next.until = now // it may become valid at any time
		return next
	}
	from, until, err := t.verify(c, k.between, now)
	if err == nil {
		next.caller = auth.Caller{Method: auth.ByMTLS, Issuer: c.Issuer.String(), Expires: until, Hash: k.hash}
		next.caller.Name, err = Name(c)
	}
	if err != nil {
		next.err, next.caller = err, auth.Caller{}
		return next
	}
	next.from, next.until = from, until
	return next
}
