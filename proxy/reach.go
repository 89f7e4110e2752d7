package proxy

import (
	"errors"
	"net"
	"strings"
	"time"

	"osgate/record"
	"osgate/regionmap"
)

// admitRegion returns a refusal if connections to x's region have failed lately, so
// that the request does not wait for one in vain.
func (p *Proxy) admitRegion(x *exchange) error {
	if !x.objectStore() {
		return nil
	}
	var ok bool
	if x.admission, ok = p.reach.Admit(x.location, time.Now()); !ok {
		return refusal{
			code:   record.CodeUpstreamUnreachable,
			detail: "connections to " + x.location.String() + " have failed lately; the gateway tries again every few seconds",
		}
	}
	return nil
}

// connected records that the request has a connection. If the request probes for others
// whether its region is back, that is the result: its answer may be slow for other
// reasons.
func (p *Proxy) connected(x *exchange, reused bool) {
	x.connected.Store(true)
	if x.admission.Probes() && !reused { // a kept connection may be dead
		p.reportRegion(x.admission.Reached(time.Now()))
	}
}

// noteReach records the result of an attempt for x's region.
func (p *Proxy) noteReach(x *exchange, err error) {
	switch {
	case err == nil:
		p.reportRegion(x.admission.Reached(time.Now()))
	case connectTimedOut(err):
		p.reportRegion(x.admission.TimedOut(err.Error(), time.Now()))
	case x.admission.Probes() && errorType(err) != "canceled" && errorType(err) != "timeout": // it failed, but without a wait
		p.reportRegion(x.admission.Reached(time.Now()))
	}
}

// reportRegion calls RegionChanged if a region became unreachable or reachable.
func (p *Proxy) reportRegion(s regionmap.ReachState, changed bool) {
	if changed && p.RegionChanged != nil {
		p.RegionChanged(s)
	}
}

// connectTimedOut reports whether err means that no connection was established in time.
func connectTimedOut(err error) bool {
	if e, ok := errors.AsType[*net.OpError](err); ok && e.Op == "dial" {
		return e.Timeout()
	}
	return errors.Is(err, errNoConnection) || strings.HasSuffix(err.Error(), "TLS handshake timeout") // net/http does not export its type
}

// RegionStates returns, for each region that received a request since the start,
// whether connections to it succeed.
func (p *Proxy) RegionStates() []regionmap.ReachState { return p.reach.States() }
