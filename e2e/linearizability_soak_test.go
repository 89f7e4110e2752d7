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

// TestHistoriesStayLinearizable is TestHistoriesAreLinearizable at length, and with everything going wrong at once.
func TestHistoriesStayLinearizable(t *testing.T) {
	everything := trial{settings: trials["gateways killed"].settings, faults: slices.Sorted(maps.Keys(faults)), hits: 3, unknown: true}
	all := maps.Clone(trials)
	all["everything"] = everything
	rounds := max(1, int(*soakFlag/historyRound)/len(all))
	for n, name := range slices.Sorted(maps.Keys(all)) {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, asItIs(all[name].flags...), all[name].settings...)
			first := seed() + uint64(1000*n)
			for round := range rounds {
				all[name].holds(t, w.suffer(first+uint64(round), historyRound, all[name].proves, all[name].faults...))
			}
		})
	}
}

// TestRandomHistoriesCatchMutants lets the mutants suffer as osgate does, without a schedule made for them.
func TestRandomHistoriesCatchMutants(t *testing.T) {
	program := mutants(t)
	for _, name := range slices.Sorted(maps.Keys(schedules)) {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, kind{program: program, mutant: name}, append(settingsOf(name), "REDIS_TIMEOUT="+strictRedis.String())...)
			for round := range uint64(6) {
				h := w.suffer(seed()+round, historyRound/2, func(historyCounts) bool { return true }, slices.Sorted(maps.Keys(faults))...)
				if h.verdict() == porcupine.Illegal {
					t.Logf("caught in round %d: %v", round+1, h.counts)
					return
				}
			}
			t.Error("not caught in six rounds")
		})
	}
}
