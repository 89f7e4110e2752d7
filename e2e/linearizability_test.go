package e2e

import (
	"flag"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"
)

// seedFlag repeats the random choices of a run: go test -C e2e -run Linearizable -seed
// 4711. It does not repeat the order of events.
var seedFlag = flag.Uint64("seed", 0, "of the requests of histories and the times of faults; 0: a new one, which is printed")

// seed returns the seed of a test.
func seed() uint64 {
	if *seedFlag != 0 {
		return *seedFlag
	}
	return uint64(1 + rand.Uint32N(1_000_000))
}

// trial is a set of faults under which histories stay linearizable.
type trial struct {
	settings   []string
	flags      []string     // of osemu
	cluster    bool         // Redis is a cluster
	httpClient *http.Client // identifies the clients; nil: Anypoint tokens do
	faults     []string
	hits       int // minimum of hits in a hundred reads
	unknown    bool
	mayBeStale bool // the documentation allows stale answers of other gateways
}

// trials are the trials by their faults. Those without CACHE_STRICT check the design's
// promise without it: no fault by which only one gateway loses Redis, nor a timeout on
// a busy machine, unless stale responses of the other gateways are excused.
var trials = map[string]trial{
	"upstream": {
		faults:  []string{"upstream slow", "requests late", "a crowd", "answers cut", "upstream failing", "requests cut", "upstream silent", "answers shortened"},
		hits:    10,
		unknown: true,
	},
	"strangers refused": {
		faults:  []string{"strangers write", "answers cut", "strangers write", "upstream slow", "strangers write", "requests late"},
		hits:    20,
		unknown: true,
	},
	"strangers served": {
		flags:   []string{"-choose", "foreign-organization=served"},
		faults:  []string{"strangers write", "answers cut", "strangers write", "upstream slow", "strangers write", "requests late"},
		hits:    5,
		unknown: true,
	},
	"Redis flushed and restarted": {
		faults: []string{
			"Redis flushed during writes", "upstream slow", "answers cut", "upstream slow", "upstream slow",
			"Redis restarted", "upstream slow", "answers cut", "upstream slow", "upstream slow",
			"Redis flushed", "upstream slow", "answers cut", "upstream slow", "upstream slow",
		},
		hits: 2,
	},
	"Redis lost": {
		settings: []string{"CACHE_STRICT=true", "REDIS_TIMEOUT=" + shortRedisTimeout.String()},
		faults:   []string{"Redis lost to one", "Redis slow", "Redis silent to one", "upstream slow"},
		hits:     10,
	},
	"long writes, Redis lost": {
		settings: []string{"CACHE_STRICT=true", "REDIS_TIMEOUT=" + shortRedisTimeout.String()},
		faults:   []string{"long writes", "Redis lost in long writes"},
		hits:     5,
		unknown:  true, // they are cut
	},
	"long writes, Redis lost, by default": {
		settings:   []string{"REDIS_TIMEOUT=" + longRedisTimeout},
		faults:     []string{"Redis lost in long writes", "long writes"},
		hits:       5,
		mayBeStale: true,
	},
	"Redis cannot write": {
		settings: []string{"CACHE_STRICT=true", "REDIS_TIMEOUT=" + shortRedisTimeout.String()},
		faults:   []string{"Redis full", "upstream slow", "Redis unsaved", "upstream slow"},
		hits:     5,
	},
	"Redis cannot write, by default": {
		settings:   []string{"REDIS_TIMEOUT=" + longRedisTimeout},
		faults:     []string{"Redis full", "upstream slow", "Redis unsaved", "upstream slow"},
		hits:       5,
		mayBeStale: true,
	},
	"slots move": {
		settings: []string{"REDIS_TIMEOUT=" + longRedisTimeout},
		cluster:  true,
		faults:   []string{"slot moves", "upstream slow", "slot moves", "answers cut"},
		hits:     2,
	},
	"gateways killed": {
		settings: []string{"CACHE_STRICT=true", "REDIS_TIMEOUT=" + shortRedisTimeout.String()},
		faults:   []string{"gateway killed", "upstream slow", "Redis flushed", "gateway killed", "upstream slow", "gateway killed", "upstream slow"},
		hits:     2,
		unknown:  true,
	},
}

// TestHistoriesAreLinearizable lets eight clients read, write, list and delete 20 keys
// through three gateways during faults. It compares their responses with a store that
// executes one request after the other (design: coherence).
func TestHistoriesAreLinearizable(t *testing.T) {
	t.Parallel()
	for name, trial := range trials {
		t.Run(name, func(t *testing.T) { // one after the other: each keeps two processors busy
			w := trial.deployment(t)
			trial.checkHistory(t, w.runFaults(seed(), 5*time.Second, trial.coversEnough, trial.faults...))
		})
	}
}

// deployment returns the world of a trial.
func (tt trial) deployment(t *testing.T) *deployment {
	t.Helper()
	k := unmutated(tt.flags...)
	k.cluster, k.httpClient = tt.cluster, tt.httpClient
	w := newDeployment(t, k, tt.settings...)
	w.staleness.allowed = tt.mayBeStale
	return w
}

// checkHistory fails the test if the history is not linearizable, or covers too little.
func (tt trial) checkHistory(t *testing.T, h *history) {
	t.Helper()
	h.checkLinearizable(t)
	if !tt.coversEnough(h.counts) {
		t.Errorf("%v: proves little; want %d%% hits, and writes of unknown outcome: %v", h.counts, tt.hits, tt.unknown)
	}
}

// coversEnough reports whether the history covers enough to be checked.
func (tt trial) coversEnough(c historyCounts) bool {
	return c.reads >= 500 && c.writes >= 20 && 100*c.hits >= tt.hits*c.reads && (c.unknown > 0 || !tt.unknown)
}
