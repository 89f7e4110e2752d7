package proxy

import (
	"errors"
	"net"
	"strings"
	"time"

	"osgate/regionmap"
)

// admitRegion admits x to its region. If connections there time out, it refuses x at once.
func (p *Proxy) admitRegion(x *exchange) error {
	if !x.objectStore() {
		return nil
	}
	var ok bool
	if x.admission, ok = p.reach.Admit(x.location, time.Now()); !ok {
		return refusal{
			code:   codeUpstreamUnreachable,
			detail: "connections to " + x.location.String() + " have not come about lately; it is tried again every few seconds",
		}
	}
	return nil
}

// connected takes that the request has a connection, if it is the one that finds out for others whether its region is back: an answer may be slow for
// reasons of its own.
func (p *Proxy) connected(x *exchange, reused bool) {
	x.connected.Store(true)
	if x.admission.Probes() && !reused { // one that was there before may be dead
		p.tellRegion(x.admission.Reached(time.Now()))
	}
}

// sounded takes what an attempt says of x's region.
func (p *Proxy) sounded(x *exchange, err error) {
	switch {
	case err == nil:
		p.tellRegion(x.admission.Reached(time.Now()))
	case swallowed(err):
		p.tellRegion(x.admission.TimedOut(err.Error(), time.Now()))
	case x.admission.Probes() && kind(err) != "canceled" && kind(err) != "timeout": // it fails, but keeps nobody waiting
		p.tellRegion(x.admission.Reached(time.Now()))
	}
}

// tellRegion tells whoever wants to know that a region is gone or back.
func (p *Proxy) tellRegion(s regionmap.ReachState, changed bool) {
	if changed && p.RegionChanged != nil {
		p.RegionChanged(s)
	}
}

// swallowed reports whether err says that a connection did not come about in time.
func swallowed(err error) bool {
	if e, ok := errors.AsType[*net.OpError](err); ok && e.Op == "dial" {
		return e.Timeout()
	}
	return errors.Is(err, errNoConnection) || strings.HasSuffix(err.Error(), "TLS handshake timeout") // net/http does not export its type
}

// Reached returns whether connections come about, for each region that was asked since the start.
func (p *Proxy) Reached() []regionmap.ReachState { return p.reach.States() }
