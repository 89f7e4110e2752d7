//go:build soak

package e2e

import (
	"flag"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// soakFlag is how long the histories of a soak take in all.
var soakFlag = flag.Duration("soak", 10*time.Minute, "how long histories are made")

// historyRound is how long one history of a soak takes: short enough for the checker.
const historyRound = 20 * time.Second

// soaked are the trials of a soak besides those of [TestHistoriesAreLinearizable]. By default
// is what is promised without CACHE_STRICT: nothing that one gateway alone loses Redis by, but
// what is excused.
func soaked() map[string]trial {
	all := maps.Clone(trials)
	all["everything"] = trial{settings: trials["gateways killed"].settings, faults: ofOneRedis(), hits: 3, unknown: true}
	all["everything, by default"] = trial{
		settings: []string{"REDIS_TIMEOUT=" + busyRedis},
		faults: slices.DeleteFunc(ofOneRedis(), func(name string) bool {
			return slices.Contains([]string{"Redis lost to one", "Redis silent to one", "Redis slow", "gateway killed"}, name)
		}),
		hits: 3, unknown: true, excused: true,
	}
	slots := trials["slots move"]
	slots.settings = []string{"CACHE_STRICT=true", "REDIS_TIMEOUT=" + busyRedis}
	slots.faults = append(slots.faults, "long writes", "upstream failing", "requests late", "strangers write")
	all["slots move, strict"] = slots
	return all
}

// ofOneRedis returns the names of all faults but those of a cluster.
func ofOneRedis() []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(faults)), func(name string) bool { return name == "slot moves" })
}

// TestHistoriesStayLinearizable is TestHistoriesAreLinearizable for a longer time, with
// all faults at once.
func TestHistoriesStayLinearizable(t *testing.T) {
	all := soaked()
	rounds := max(1, int(*soakFlag/historyRound)/len(all))
	for n, name := range slices.Sorted(maps.Keys(all)) {
		t.Run(name, func(t *testing.T) {
			w := all[name].world(t)
			first := seed() + uint64(1000*n)
			for round := range rounds {
				all[name].holds(t, w.suffer(first+uint64(round), historyRound, all[name].proves, all[name].faults...))
			}
		})
	}
}

// faultsFor returns the faults by which a mutant is caught at random. Those that take long
// are few among all others, and so are alone for the mutants that need them.
func faultsFor(mutant string) []string {
	switch mutant {
	case "does not renew a mark", "does not cut a write without a mark", "forgets a mark that was lost":
		return []string{"long writes", "Redis lost in long writes"}
	}
	return ofOneRedis()
}

// scheduledOnly are the mutants that only their schedules catch: the clients of a history
// send nothing confirmable, and write a key again long before a lease on it has run out.
var scheduledOnly = []string{
	"gives the lease of a confirmable write back", "serves what a lease that ran out was over", "serves what a lost release was over",
}

// TestRandomHistoriesCatchMutants runs the mutants with the random faults of osgate,
// without a schedule.
func TestRandomHistoriesCatchMutants(t *testing.T) {
	program := mutants(t)
	for _, name := range slices.Sorted(maps.Keys(schedules)) {
		if slices.Contains(scheduledOnly, name) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			settings := append(settingsOf(name), "REDIS_TIMEOUT="+strictRedis.String(), "UPSTREAM_TIMEOUT="+historyTimeout.String())
			w := newWorld(t, kind{program: program, mutant: name}, settings...)
			for round := range uint64(6) {
				h := w.suffer(seed()+round, historyRound/2, func(historyCounts) bool { return true }, faultsFor(name)...)
				if h.verdict() == porcupine.Illegal {
					t.Logf("caught in round %d: %v", round+1, h.counts)
					return
				}
			}
			t.Error("not caught in six rounds")
		})
	}
}
