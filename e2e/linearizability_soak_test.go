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

// soakFlag is the total duration of a soak's histories.
var soakFlag = flag.Duration("soak", 10*time.Minute, "total duration of the histories of a soak")

// historyRound is the duration of one history of a soak: short enough for the checker.
const historyRound = 20 * time.Second

// soakTrials are the trials of a soak in addition to those of
// [TestHistoriesAreLinearizable]. "By default" is the promise without CACHE_STRICT: no
// fault by which only one gateway loses Redis, except the excused ones.
func soakTrials() map[string]trial {
	all := maps.Clone(trials)
	all["everything"] = trial{settings: trials["gateways killed"].settings, faults: singleRedisFaults(), hits: 3, unknown: true}
	all["all faults, by default"] = trial{
		settings: []string{"REDIS_TIMEOUT=" + longRedisTimeout},
		faults: slices.DeleteFunc(singleRedisFaults(), func(name string) bool {
			return slices.Contains([]string{"Redis lost to one", "Redis silent to one", "Redis slow", "gateway killed"}, name)
		}),
		hits: 3, unknown: true, mayBeStale: true,
	}
	slots := trials["slots move"]
	slots.settings = []string{"CACHE_STRICT=true", "REDIS_TIMEOUT=" + longRedisTimeout}
	slots.faults = append(slots.faults, "long writes", "upstream failing", "requests late", "strangers write")
	all["slots move, strict"] = slots
	return all
}

// singleRedisFaults returns the names of all faults but those of a cluster.
func singleRedisFaults() []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(faults)), func(name string) bool { return name == "slot moves" })
}

// TestHistoriesStayLinearizable is TestHistoriesAreLinearizable for a longer time, with
// all faults at once.
func TestHistoriesStayLinearizable(t *testing.T) {
	all := soakTrials()
	rounds := max(1, int(*soakFlag/historyRound)/len(all))
	for n, name := range slices.Sorted(maps.Keys(all)) {
		t.Run(name, func(t *testing.T) {
			w := all[name].deployment(t)
			first := seed() + uint64(1000*n)
			for round := range rounds {
				all[name].checkHistory(t, w.runFaults(first+uint64(round), historyRound, all[name].coversEnough, all[name].faults...))
			}
		})
	}
}

// mutantFaults returns the faults by which random histories detect a mutant. Long
// faults are rare among the others, so they are the only ones for the mutants that need
// them.
func mutantFaults(mutant string) []string {
	switch mutant {
	case "does not renew a mark", "does not cut a write without a mark", "forgets a mark that was lost":
		return []string{"long writes", "Redis lost in long writes"}
	}
	return singleRedisFaults()
}

// scheduledOnly are the mutants that only their schedules detect: the clients of a
// history send no confirmable request, and write a key again long before a lease on it
// has expired.
var scheduledOnly = []string{
	"gives the lease of a confirmable write back", "serves what a lease that ran out was over", "serves what a lost release was over",
}

// TestRandomHistoriesDetectMutants runs the mutants with the random faults of osgate,
// without a schedule.
func TestRandomHistoriesDetectMutants(t *testing.T) {
	program := mutants(t)
	for _, name := range slices.Sorted(maps.Keys(schedules)) {
		if slices.Contains(scheduledOnly, name) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			settings := append(mutantSettings(name), "REDIS_TIMEOUT="+shortRedisTimeout.String(), "UPSTREAM_TIMEOUT="+historyTimeout.String())
			w := newDeployment(t, setup{program: program, mutant: name}, settings...)
			for round := range uint64(6) {
				h := w.runFaults(seed()+round, historyRound/2, func(historyCounts) bool { return true }, mutantFaults(name)...)
				if h.check() == porcupine.Illegal {
					t.Logf("detected in round %d: %v", round+1, h.counts)
					return
				}
			}
			t.Error("not detected in six rounds")
		})
	}
}
