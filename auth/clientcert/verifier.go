package clientcert

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"osgate/auth"
	"osgate/internal/watch"
)

// Options define a [Verifier].
type Options struct {
	CAFile  string // the CAs of clients (PEM)
	CRLFile string // CRLs of these CAs (PEM, or one in DER); empty: none

	// Header is the header in which trusted proxies send the client's certificate, in
	// the form of RFC 9440. With the suffix "-Chain" it is the header of intermediate
	// certificates. Empty: no header is believed.
	Header string
	// Trusted are the proxies whose Header is believed.
	Trusted []netip.Prefix

	Secret []byte // key of the hashes of certificates; empty: random

	// Rest is the time for which changed files must be unchanged before they are
	// loaded, see [watch.Rest].
	Rest time.Duration
	// OnChange is called for each change of the files, also one that is refused. It may
	// be nil.
	OnChange func(State)
}

// State is the state of the files.
type State struct {
	Authorities int       // CAs in force
	Revoked     int       // revoked certificates in force
	NextUpdate  time.Time // when a newer CRL is due; zero: never
	Loaded      time.Time // when the files in force were read

	Err   error     // why the present content of the files is not in force; nil: it is
	Since time.Time // when Err first occurred
}

// Degraded returns why the revocation of certificates may be out of date at now, for
// readiness; empty if it is not.
func (s State) Degraded(now time.Time) string {
	switch {
	case s.Err != nil:
		return fmt.Sprintf("the CA or CRL file as of %s is invalid, see the log; the content of %s stays in force",
			s.Since.UTC().Format(time.RFC3339), s.Loaded.UTC().Format(time.RFC3339))
	case !s.NextUpdate.IsZero() && now.After(s.NextUpdate):
		return fmt.Sprintf("a newer CRL was due at %s; certificates that were revoked since are accepted",
			s.NextUpdate.UTC().Format(time.RFC3339))
	}
	return ""
}

// Verifier identifies clients by their certificates. Make it by [New]. It is safe for
// concurrent use.
type Verifier struct {
	options       Options
	header, chain string // canonical names; empty header: none is believed
	watcher       *watch.Watcher
	trust         atomic.Pointer[trust]
	macs          sync.Pool // of hash.Hash

	certificates certificates

	mu     sync.Mutex // guards failed
	failed State      // only Err and Since
}

// New reads the files when they are at rest and returns a Verifier. Call Run to load
// changed files.
func New(o Options) (*Verifier, error) {
	v := &Verifier{options: o, header: http.CanonicalHeaderKey(o.Header), certificates: newCertificates()}
	if v.header != "" {
		v.chain = http.CanonicalHeaderKey(v.header + chainSuffix)
	}
	key := auth.HashKey(o.Secret)
	v.options.Secret = nil
	v.macs.New = func() any { return hmac.New(sha256.New, key) }
	v.watcher = watch.New(watch.Options{
		Read: func() ([]watch.File, error) { return readFiles(o.CAFile, o.CRLFile) }, Take: v.take, Rest: o.Rest,
	})
	files, err := v.watcher.Rested()
	if err != nil {
		return nil, err //nolint:wrapcheck // it names the file
	}
	t, err := parseTrust(files, time.Now())
	if err != nil {
		return nil, err
	}
	v.trust.Store(t)
	return v, nil
}

// readFiles reads the CA file and, if it has a path, the CRL file.
func readFiles(caFile, crlFile string) ([]watch.File, error) {
	ca, err := watch.ReadFile(caFile, maxCAFile)
	if err != nil {
		return nil, fmt.Errorf("reading the CA file: %w", err)
	}
	if crlFile == "" {
		return []watch.File{ca}, nil
	}
	crl, err := watch.ReadFile(crlFile, maxCRLFile)
	if err != nil {
		return nil, fmt.Errorf("reading the CRL file: %w", err)
	}
	return []watch.File{ca, crl}, nil
}

// Run loads changed files until ctx ends, and returns ctx's error. The content of
// invalid files is not used, and the former content stays in force.
func (v *Verifier) Run(ctx context.Context) error {
	return v.watcher.Run(ctx) //nolint:wrapcheck // ctx's
}

// Reload reads the files again when they are at rest, and returns why they cannot be
// used.
func (v *Verifier) Reload() error { return v.watcher.Reload() } //nolint:wrapcheck // take's

// take puts the files into force. The watcher calls it by one goroutine at a time.
func (v *Verifier) take(files []watch.File, err error) error {
	now := time.Now()
	var next *trust
	if err == nil {
		next, err = parseTrust(files, now)
	}
	v.mu.Lock()
	if err == nil {
		v.trust.Store(next)
		v.failed = State{}
	} else {
		if v.failed.Err == nil {
			v.failed.Since = now
		}
		v.failed.Err = err
	}
	v.mu.Unlock()
	if v.options.OnChange != nil {
		v.options.OnChange(v.State())
	}
	return err
}

// State returns the state of the files.
func (v *Verifier) State() State {
	v.mu.Lock()
	defer v.mu.Unlock()
	t := v.trust.Load()
	s := v.failed
	s.Authorities, s.Loaded = t.authorities, t.loaded
	s.Revoked, s.NextUpdate = len(t.revoked.serials), t.revoked.nextUpdate
	return s
}

// Recognizes reports whether this method decides about c: it has a certificate.
func (v *Verifier) Recognizes(c auth.Credential) bool { return c.Certificate != nil }

// Known returns the caller if c's certificate has been checked with the files in force,
// and is valid now. It does not check a new one.
func (v *Verifier) Known(c auth.Credential) (auth.Caller, bool) {
	k := v.certificates.get(c.Certificate)
	if k == nil {
		return auth.Caller{}, false
	}
	verdict := k.verdict.Load()
	if verdict == nil || verdict.err != nil || !verdict.holds(v.trust.Load(), time.Now()) {
		return auth.Caller{}, false
	}
	return verdict.caller, true
}

// Identify returns the client that c's certificate identifies. Errors are
// *[RefusedError], and [auth.ErrNoToken] without a certificate. It never waits, and
// does not use ctx.
func (v *Verifier) Identify(_ context.Context, c auth.Credential) (auth.Caller, error) {
	if c.Certificate == nil {
		return auth.Caller{}, fmt.Errorf("no client certificate: %w", auth.ErrNoToken)
	}
	k := v.certificates.get(c.Certificate)
	if k == nil {
		k = v.meet(c.Certificate, nil, "")
	}
	verdict := v.judge(k)
	return verdict.caller, verdict.err
}
