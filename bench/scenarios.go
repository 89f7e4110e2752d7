package main

import (
	"slices"
	"strings"

	"osgate/bench/load"
)

// settings are the choices of the command line.
type settings struct {
	rounds, seconds int
	connections     []int
	osgate, base    string // binaries; base may be ""
}

// mule is the load of most scenarios. It is like that of many Mule apps.
func mule() load.Plan { return load.Plan{Store: "bench", Clients: 1000, Each: 5} }

// few is the first of the numbers of connections, for scenarios that need no more.
func (c settings) few() []int { return c.connections[:1] }

// gateways returns osgate, or osgate before and after, if there is a base binary.
func (c settings) gateways(name string, o gatewayOptions) []subject {
	if o.quota == (quota{}) {
		o.quota = plenty()
	}
	if c.base == "" {
		return []subject{gatewaySubject(name, c.osgate, o)}
	}
	return []subject{gatewaySubject(name+before, c.base, o), gatewaySubject(name+after, c.osgate, o)}
}

// final returns the name of the row of osgate that others are compared with.
func (c settings) final(name string) string {
	if c.base != "" {
		name += after
	}
	return name
}

// The ends of the names of two binaries of osgate in one run.
const (
	before = " before"
	after  = " after"
)

// scenarios returns all scenarios, in the order of the table.
func scenarios(c settings) []scenario {
	all := slices.Concat(c.hits(), c.misses(), c.differences(), c.bodies(), c.scale(), c.openLoops())
	for i, sc := range all {
		for _, s := range sc.subjects {
			if strings.HasSuffix(s.name, before) {
				all[i].references = append(all[i].references, s.name)
			}
		}
	}
	return all
}

// hits are answers from the cache.
func (c settings) hits() []scenario {
	nginx := nginxSubject("nginx + Lua", peerOptions{})
	return []scenario{{
		name: "hit-redis", title: "Cached GET, with Redis", kind: hit, plan: mule(), connections: c.connections,
		subjects:   append([]subject{nginx}, c.gateways("osgate", gatewayOptions{})...),
		references: []string{"nginx + Lua"},
	}, {
		name: "hit-embedded", title: "Cached GET, embedded", kind: hit, plan: mule(), connections: c.connections,
		subjects:   append([]subject{bareSubject()}, c.gateways("osgate", gatewayOptions{embedded: true})...),
		references: []string{"bare handler"},
	}}
}

// misses are answers that are fetched from the origin and kept.
func (c settings) misses() []scenario {
	peers := func(secure bool) []subject {
		return []subject{
			nginxSubject("nginx + Lua", peerOptions{secure: secure}),
			nginxSubject("nginx + Lua, no cache", peerOptions{secure: secure, keepNot: true}),
			proxySubject(secure),
		}
	}
	return []scenario{{
		name: "miss-redis", title: "Miss, with Redis", kind: miss, plan: mule(), connections: c.connections,
		subjects:   append(peers(false), c.gateways("osgate", gatewayOptions{})...),
		references: []string{"nginx + Lua", "nginx + Lua, no cache", "bare ReverseProxy"},
	}, {
		name: "miss-tls", title: "Miss, with Redis, TLS to the origin", kind: miss, plan: mule(), connections: c.few(),
		subjects:   append(peers(true), c.gateways("osgate", gatewayOptions{secure: true})...),
		references: []string{"nginx + Lua", "nginx + Lua, no cache", "bare ReverseProxy"},
	}, {
		name: "miss-embedded", title: "Miss, embedded", kind: miss, plan: mule(), connections: c.few(),
		subjects:   append([]subject{proxySubject(false)}, c.gateways("osgate", gatewayOptions{embedded: true})...),
		references: []string{"bare ReverseProxy"},
	}}
}

// differences compare osgate with osgate: a refusal with a hit, and telemetry with
// none.
func (c settings) differences() []scenario {
	over := c.gateways("osgate, over quota", gatewayOptions{quota: noQuota()})
	for i := range over {
		over[i].kind = refused
	}
	nginx := nginxSubject("nginx + Lua, over quota", peerOptions{quota: noQuota()})
	nginx.kind = refused
	telemetry := func(name, title string, embedded bool) scenario {
		return scenario{
			name: name, title: title, kind: hit, plan: mule(), connections: c.few(),
			subjects: append(
				c.gateways("osgate, no telemetry", gatewayOptions{embedded: embedded, silent: true}),
				c.gateways("osgate, telemetry", gatewayOptions{embedded: embedded})...),
			references: []string{c.final("osgate, no telemetry")},
		}
	}
	return []scenario{
		{
			name: "refused", title: "Over quota", kind: hit, plan: mule(), connections: c.few(),
			subjects:   slices.Concat(c.gateways("osgate, hit", gatewayOptions{}), over, []subject{nginx}),
			references: []string{c.final("osgate, hit"), nginx.name},
		},
		telemetry("telemetry", "Telemetry, cached GET, with Redis", false),
		telemetry("telemetry-embedded", "Telemetry, cached GET, embedded", true),
	}
}

// bodies are values of 10 MiB, which no cache keeps.
func (c settings) bodies() []scenario {
	large := func(name, title string, body int) scenario {
		return scenario{
			name: name, title: title, kind: pass, shape: bulk, connections: []int{8},
			plan:       load.Plan{Store: "large", Clients: 8, Each: 1, Body: body},
			subjects:   append([]subject{proxySubject(false)}, c.gateways("osgate", gatewayOptions{})...),
			references: []string{"bare ReverseProxy"},
		}
	}
	return []scenario{large("get-10mb", "GET of 10 MiB", 0), large("put-10mb", "PUT of 10 MiB", 10<<20)}
}

// scale compares few clients and keys with many. Identities and grants last an hour
// here: a hundred thousand of them could not be renewed each minute.
func (c settings) scale() []scenario {
	of := func(name string, plan load.Plan) []subject {
		all := c.gateways(name, gatewayOptions{settings: []string{"OSGATE_AUTH_TTL=1h", "OSGATE_CACHE_BYTES=4GiB"}})
		for i := range all {
			all[i].plan = &plan
		}
		return all
	}
	many := of("osgate, 100,000 clients", load.Plan{Store: "bench", Clients: 100_000, Each: 1})
	sizes := func(name, title, reference string, subjects []subject) scenario {
		return scenario{
			name: name, title: title, kind: hit, once: true, connections: c.few(), subjects: subjects,
			references: []string{c.final(reference)},
		}
	}
	return []scenario{
		sizes("clients", "Clients, cached GET, with Redis", "osgate, 1 client", slices.Concat(
			of("osgate, 1 client", load.Plan{Store: "bench", Clients: 1, Each: 5}),
			of("osgate, 1,000 clients", load.Plan{Store: "bench", Clients: 1000, Each: 1}),
			of("osgate, 10,000 clients", load.Plan{Store: "bench", Clients: 10_000, Each: 1}),
			many)),
		sizes("keys", "Keys, cached GET, with Redis", "osgate, 1,000 keys", slices.Concat(
			of("osgate, 1,000 keys", load.Plan{Store: "tiny", Clients: 1000, Each: 1}),
			of("osgate, 30,000 keys", load.Plan{Store: "tiny", Clients: 1000, Each: 30}),
			of("osgate, 1,000,000 keys", load.Plan{Store: "tiny", Clients: 1000, Each: 1000}))),
	}
}

// openLoops are requests at planned times: they show the latency that a gateway adds to
// that of the origin.
func (c settings) openLoops() []scenario {
	loop := func(name, title string, k kind, far bool, peers ...subject) scenario {
		gateways := c.gateways("osgate", gatewayOptions{far: far})
		return scenario{
			name: name, title: title, kind: k, shape: open, plan: mule(), connections: []int{0},
			subjects:   slices.Concat([]subject{directSubject()}, peers, gateways),
			references: []string{"direct"},
		}
	}
	return []scenario{
		loop("open-hit", "Open loop, cached GET", hit, false, nginxSubject("nginx + Lua", peerOptions{})),
		loop("open-miss", "Open loop, miss", miss, false, nginxSubject("nginx + Lua", peerOptions{})),
		loop("open-hit-far", "Open loop, cached GET, Redis 1 ms away", hit, true),
		loop("open-miss-far", "Open loop, miss, Redis 1 ms away", miss, true),
	}
}
