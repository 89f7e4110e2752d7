// Package load sends requests to a server under test: in a closed loop, by wrk or with
// large bodies, and at planned times in an open loop.
package load

import (
	"fmt"
	"strconv"
)

// Plan describes requests. Client 7 has the token "token-7", and reads keys of its
// own: with five of them the keys 35 to 39.
type Plan struct {
	Store   string // its values have the size that the origin gives them
	Clients int
	Each    int    // values of each client
	Fresh   string // not "": each key is requested once, and begins with this text
	Body    int    // bytes of a request body, a multiple of 16; for Bulk only: 0 sends GETs, more sends PUTs
}

// base returns the path of the keys of the plan's store.
func (p Plan) base() string {
	const environment = "/api/v1/organizations/org-bench/environments/env-bench"
	return environment + "/stores/" + p.Store + "/partitions/DEFAULT_PARTITION/keys/"
}

// Key returns the path of a value of a client.
func (p Plan) Key(client, value int) string {
	return fmt.Sprintf("%skey-%d", p.base(), client*p.Each+value)
}

// Token returns the value of the Authorization field of a client.
func Token(client int) string { return "Bearer token-" + strconv.Itoa(client) }

// Result holds the measurements of a load.
type Result struct {
	Requests     int64   `json:"requests"`
	Microseconds int64   `json:"microseconds"`
	Bytes        int64   `json:"bytes"`
	Not2xx       int64   `json:"not2xx"` // answers with a status above 399
	Broken       int64   `json:"broken"` // connections that failed or were silent
	P50          float64 `json:"p50"`    // latencies in microseconds
	P90          float64 `json:"p90"`
	P99          float64 `json:"p99"`
	Max          float64 `json:"max"`
}
