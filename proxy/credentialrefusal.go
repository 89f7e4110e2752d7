package proxy

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"sync"

	"osgate/auth"
)

// CredentialRefusal is how many credentials were refused for one reason since the
// start.
type CredentialRefusal struct {
	Method auth.Method // [auth.ByJWT], [auth.ByMTLS], or "none": no method recognized it
	Reason string      // of a closed list
	Count  int64
}

// noMethod is the method of a credential that none recognizes.
const noMethod auth.Method = "none"

// refusedCredential is an error that refuses a credential for a reason of a closed
// list.
type refusedCredential interface {
	error
	Refusal() (method auth.Method, reason string)
}

// credentialRefusals count refused credentials. The zero value is ready to use. It is
// safe for concurrent use.
type credentialRefusals struct {
	mu     sync.Mutex
	counts map[CredentialRefusal]int64 // Count of the key is 0
}

// count counts err, which wraps [auth.ErrBadToken].
func (c *credentialRefusals) count(err error) {
	r := CredentialRefusal{Method: noMethod, Reason: "unrecognized"}
	if e, ok := errors.AsType[refusedCredential](err); ok {
		r.Method, r.Reason = e.Refusal()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.counts == nil {
		c.counts = map[CredentialRefusal]int64{}
	}
	c.counts[r]++
}

// CredentialRefusals returns the refused credentials that are no Anypoint tokens by
// method and reason, sorted. Credentials that were not judged because their address had
// failed too often are not among them.
func (p *Proxy) CredentialRefusals() []CredentialRefusal {
	c := &p.refusedCredentials
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make([]CredentialRefusal, 0, len(c.counts))
	for r, n := range c.counts {
		r.Count = n
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b CredentialRefusal) int {
		return cmp.Or(cmp.Compare(a.Method, b.Method), strings.Compare(a.Reason, b.Reason))
	})
	return all
}
