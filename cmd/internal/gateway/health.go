package gateway

import (
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"osgate/admin"
	"osgate/auth"
	"osgate/policy"
	"osgate/regionmap"
	"osgate/stats"
	"osgate/telemetry/board"
)

// The names of the parts in /readyz and on the operator's page. Those that end in a
// space are followed by a name.
const (
	redisPart      = "redis"
	rightsPart     = "redis rights"
	planePart      = "control plane "
	settingsPart   = "setting "
	regionPart     = "region "
	statisticsPart = "statistics"
	cachePart      = "cache"
	policyPart     = "policy"
	logPart        = "log"
	connsPart      = "connections"
	auditPart      = "audit file"
)

// The bounds of a problem with a region of Object Store, by the requests of the last
// minute: the smallest share of failures, and the number of requests of which all
// failed.
const (
	degradedShare = 0.05
	downAfter     = 5
)

// overview returns the present state for the operator's page.
func (g *Gateway) overview(now time.Time) (admin.Health, any, map[string]string) {
	traffic := g.board.Snapshot(now)
	var all []admin.Part
	if g.redis != nil {
		all = append(all, g.redisHealth(now))
	}
	for _, plane := range g.auth.Planes() {
		all = append(all, planeHealth(plane, g.planeLatencies.of(plane.Plane).Quantiles(now)))
	}
	all = append(all, regionsHealth(traffic.Regions, g.proxy.RegionStates())...)
	all = append(all, g.statisticsHealth(now), g.cacheHealth(traffic), policyHealth(g.policy.State(), traffic))
	return admin.NewHealth(g.readiness(), all), traffic, g.named(traffic.IDs())
}

// named returns the known names of ids.
func (g *Gateway) named(ids iter.Seq[string]) map[string]string {
	names := map[string]string{}
	for id := range ids {
		if name := g.names.Of(id); name != "" {
			names[id] = name
		}
	}
	return names
}

// latency returns q for the page, nil if q is empty.
func latency(q board.Quantiles) *admin.Latency {
	if q.Count == 0 {
		return nil
	}
	return new(admin.Latency(q))
}

func (g *Gateway) redisHealth(now time.Time) admin.Part {
	s := g.redis.State()
	p := admin.Part{
		Name: redisPart, State: admin.PartOK, Detail: "It answers", Since: s.Since,
		Breaker: s.Breaker, Latency: latency(g.trips.Quantiles(now)),
	}
	if !s.OK {
		p.State, p.Detail = admin.PartDown, "It does not answer: "+s.LastError
	} else if s.Denied != "" {
		p.State, p.Detail = admin.PartDegraded, "It does not permit: "+s.Denied
	}
	return p
}

func planeHealth(s auth.PlaneState, took board.Quantiles) admin.Part {
	p := admin.Part{
		Name: planePart + s.Plane, State: admin.PartOK, Detail: "It identifies tokens", Since: s.Since,
		Breaker: s.Breaker, Latency: latency(took),
	}
	switch {
	case !s.OK:
		p.State, p.Detail = admin.PartDown, "It does not identify tokens: "+s.LastError
	case took.Count == 0:
		p.State, p.Detail, p.Since = admin.PartIdle, notAsked, time.Time{}
	}
	return p
}

// notAsked is the detail of a part that received no request, and has no known problem.
const notAsked = "No request within the last minute"

// regionsHealth returns the health of the regions that received requests since the
// start.
func regionsHealth(counts []board.RegionCount, reached []regionmap.ReachState) (all []admin.Part) {
	for _, s := range reached {
		i := slices.IndexFunc(counts, func(r board.RegionCount) bool {
			return r.Plane == s.Location.Plane && r.Region == s.Location.Region
		})
		if i < 0 {
			counts = append(counts, board.RegionCount{})
			i = len(counts) - 1
		}
		all = append(all, regionHealth(counts[i], s))
	}
	return all
}

func regionHealth(r board.RegionCount, s regionmap.ReachState) admin.Part {
	p := admin.Part{
		Name: regionPart + s.Location.String(), State: admin.PartOK, Detail: "Object Store answers", Breaker: s.Breaker,
		Latency: latency(r.Latency), Requests: &r.Requests, Errors: &r.Failed,
	}
	switch {
	case !s.OK:
		p.State, p.Since, p.Detail = admin.PartDown, s.Since, "Connections to it fail: "+s.LastError
		return p
	case r.Requests == 0:
		p.State, p.Detail = admin.PartIdle, notAsked
	case r.Failed == r.Requests && r.Requests >= downAfter:
		p.State, p.Since = admin.PartDown, r.Failing
	case float64(r.Failed) > degradedShare*float64(r.Requests):
		p.State, p.Since = admin.PartDegraded, r.Failing
	}
	if r.Failed > 0 {
		p.Detail = fmt.Sprintf("%d of %d requests failed within the last minute", r.Failed, r.Requests)
	}
	return p
}

func (g *Gateway) statisticsHealth(now time.Time) admin.Part {
	s := g.stats.Status()
	return statisticsHealth(s, g.losses.recent(s, now), now)
}

func statisticsHealth(s stats.Status, losing bool, now time.Time) admin.Part {
	lag := s.Lag(now).Seconds()
	p := admin.Part{
		Name: statisticsPart, State: admin.PartOK, Detail: fmt.Sprintf("Counts were stored %.0f s ago", lag),
		Since: s.Down,
	}
	switch {
	case s.Err != nil:
		p.State, p.Detail = admin.PartDown, fmt.Sprintf("The counts of the last %.0f s wait in memory: %v", lag, s.Err)
	case losing:
		p.State = admin.PartDegraded
	}
	if s.Lost > 0 {
		p.Detail += fmt.Sprintf(
			"; %d operations were counted in files that were damaged or replaced, and are lost", s.Lost)
	}
	if s.Coarsened+s.Dropped > 0 {
		p.Detail += fmt.Sprintf("; of more places at a time than fit, %d exchanges were counted without their store and %d not at all since the start",
			s.Coarsened, s.Dropped)
	}
	return p
}

func (g *Gateway) cacheHealth(traffic board.Snapshot) admin.Part {
	s := g.cache.Stats()
	held := fmt.Sprintf("%d answers in %s", s.Entries, bytesText(s.Bytes))
	switch {
	case g.redis != nil && !g.redis.State().OK:
		return admin.Part{
			Name: cachePart, State: admin.PartDegraded,
			Detail: "Nothing is answered from it while Redis is unavailable; " + held,
		}
	case traffic.Lookups.Window == 0:
		return admin.Part{
			Name: cachePart, State: admin.PartIdle,
			Detail: "No cacheable request within the last minute; " + held,
		}
	}
	return admin.Part{Name: cachePart, State: admin.PartOK, Detail: held}
}

// bytesText returns a number of bytes as text, as the page does.
func bytesText(n int64) string {
	size, unit := float64(n), 0
	units := [...]string{"B", "KiB", "MiB", "GiB", "TiB"}
	for size >= 1024 && unit < len(units)-1 {
		size, unit = size/1024, unit+1
	}
	if unit == 0 || size >= 100 {
		return fmt.Sprintf("%.0f %s", size, units[unit])
	}
	return fmt.Sprintf("%.1f %s", size, units[unit])
}

// policyHealth reports rules that cannot be read, and rules that could not be
// evaluated, which may refuse what they should not.
func policyHealth(s policy.State, traffic board.Snapshot) admin.Part {
	if s.Rules == 0 {
		return admin.Part{
			Name: policyPart, State: admin.PartIdle,
			Detail: "There is none: everything that Anypoint permits is permitted",
		}
	}
	p := admin.Part{
		Name: policyPart, State: admin.PartOK,
		Detail: fmt.Sprintf("%d rules, %d of them in shadow mode", s.Rules, s.Shadowed), Since: s.Loaded,
	}
	var failing []string
	for _, r := range traffic.PolicyErrors {
		if r.Window > 0 {
			failing = append(failing, r.Rule)
		}
	}
	switch {
	case s.Err != nil:
		p.State, p.Since, p.Detail = admin.PartDegraded, s.Since,
			"The changed files are invalid; the previous rules stay in force: "+s.Err.Error()
	case len(failing) > 0:
		const shown = 3
		names := strings.Join(failing[:min(len(failing), shown)], ", ")
		p.State, p.Since = admin.PartDegraded, time.Time{}
		p.Detail = fmt.Sprintf("%d rules could not be evaluated within the last minute: %s", len(failing), names)
	}
	return p
}

// planeLatencies holds the latency of token validation by control plane. It is safe for
// concurrent use.
type planeLatencies struct {
	mu sync.Mutex
	by map[string]*board.Latency // of the planes in use
}

func (a *planeLatencies) of(plane string) *board.Latency {
	a.mu.Lock()
	defer a.mu.Unlock()
	l, ok := a.by[plane]
	if !ok {
		l = board.NewLatency()
		a.by[plane] = l
	}
	return l
}
