package e2e

import (
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// lastDayQuery is a query of this day and the last one, with the longest window of the
// hour.
func lastDayQuery(period string) string {
	now := time.Now()
	return statsQuery(now.Add(-23*time.Hour), now.Add(30*time.Minute), period)
}

// TestCountsEqualTheNumberOf2xxAnswers sends reads, hits, writes and errors to two
// stores of two environments, and compares the counts with the answers.
func TestCountsEqualTheNumberOf2xxAnswers(t *testing.T) {
	t.Parallel()
	withAndWithoutRedis(t, func(t *testing.T, s *stack) {
		g := s.gateway("RATE=0")
		one, sub := g.as("app-one"), g.as("app-sub")
		const subKeys = "/api/v1/organizations/org-sub/environments/env-sub/stores/APP_demo__defaultPersistentObjectStore/partitions/DEFAULT_PARTITION/keys"
		for range 7 {
			one.get(keyOne).is(http.StatusOK)
		}
		one.put("counted", "x").succeeded()
		one.send(http.MethodDelete, demoKeys+"/counted", "").succeeded()
		for range 3 {
			one.get(demoKeys + "/absent").is(http.StatusNotFound)
			one.get(demoKeys + "/%252e").is(http.StatusBadRequest)
			one.get("/accounts/api/me").is(http.StatusOK)
		}
		one.get(sandboxKeys + "/KeyOne").is(http.StatusOK)
		one.get(sandboxKeys).is(http.StatusOK)
		one.get(prodStores).is(http.StatusOK)
		one.get("/us/eu-west-2" + keyOne).is(http.StatusOK)
		one.get("/api/v1/organizations/org-root/regions").is(http.StatusOK)
		for range 2 {
			sub.get(subKeys).is(http.StatusOK)
		}
		eu := g.client()
		eu.token = g.mint("app-one", "/eu")
		eu.get("/eu/eu-west-1" + keyOne).is(http.StatusOK)

		const (
			root        = "/api/v1/organizations/org-root"
			environment = root + "/environments/env-prod"
			store       = environment + "/regions/us-east-1/stores/APP_demo__defaultPersistentObjectStore"
		)
		for target, want := range map[string]int{
			root + lastDayQuery("1hour"):                                  14,
			root + lastDayQuery("1hour") + "&isMaster=true":               16,
			environment + lastDayQuery("1hour"):                           11,
			environment + "/regions/us-east-1" + lastDayQuery("1hour"):    10,
			environment + "/regions/eu-west-2" + lastDayQuery("1hour"):    1,
			store + lastDayQuery("1hour"):                                 9,
			root + "/environments/env-sandbox" + lastDayQuery("1hour"):    2,
			"/eu" + root + lastDayQuery("1hour"):                          1,
			root + "/environments/env-unheard-of" + lastDayQuery("1hour"): 0,
		} {
			eventually(t, "the counts of "+target, func() bool {
				c := one
				if strings.HasPrefix(target, "/eu/") {
					c = eu
				}
				return total(c.counts(target)) == want
			})
		}
		if got := total(one.counts(store + lastDayQuery("1hour") + "&source=upstream")); got != 4 { // of 9 in the store, 6 came from the cache; one was the gateway's own, for the TTL
			t.Errorf("source=upstream counts %d, want the 4 that reached Object Store", got)
		}
	})
}

// TestListsNameAllPlacesWithCounts requests the lists of environments, regions and
// stores.
func TestListsNameAllPlacesWithCounts(t *testing.T) {
	t.Parallel()
	withAndWithoutRedis(t, func(t *testing.T, s *stack) {
		one := s.gateway().as("app-one")
		one.get(keyOne).is(http.StatusOK)
		one.get("/us/eu-west-2" + keyOne).is(http.StatusOK)
		const environments = "/api/v1/organizations/org-root/environments"
		for target, want := range map[string][]string{
			environments:                       {"env-prod"},
			environments + "/env-prod/regions": {"eu-west-2", "us-east-1"},
			environments + "/env-prod/regions/us-east-1/stores": {"APP_demo__defaultPersistentObjectStore"},
		} {
			eventually(t, target, func() bool {
				var got []string
				one.get(target + lastDayQuery("1hour")).is(http.StatusOK).decode(&got)
				slices.Sort(got)
				return slices.Equal(got, want)
			})
		}
	})
}

// TestCountsSurviveARestart ends a gateway by SIGTERM at once after the last answer, so
// that only its last flush can have kept the counts.
func TestCountsSurviveARestart(t *testing.T) {
	t.Parallel()
	withAndWithoutRedis(t, func(t *testing.T, s *stack) {
		var settings []string
		if s.redis == nil {
			settings = append(settings, "STATE_DIR="+t.TempDir())
		}
		first := s.gateway(append(settings, "RATE=0")...)
		one := first.as("app-one")
		for range 25 {
			one.get(keyOne).is(http.StatusOK)
		}
		if code := first.stop(syscall.SIGTERM); code != 0 {
			t.Fatalf("SIGTERM: exit code %d, want 0", code)
		}
		one = one.via(s.gateway(append(settings, "RATE=0")...))
		one.get(keyOne).is(http.StatusOK)
		target := "/api/v1/organizations/org-root/environments/env-prod" + lastDayQuery("1hour")
		eventually(t, "26 counts after the restart", func() bool { return total(one.counts(target)) == 26 })
	})
}

// TestOnlyMembersOfAnOrganizationReadItsStatistics requests statistics as a member of
// another organization, and without a token.
func TestOnlyMembersOfAnOrganizationReadItsStatistics(t *testing.T) {
	t.Parallel()
	withAndWithoutRedis(t, func(t *testing.T, s *stack) {
		g := s.gateway()
		g.as("app-one").get(keyOne).is(http.StatusOK)
		stranger := g.as("app-other")
		for _, path := range []string{
			"/api/v1/organizations/org-root", "/api/v1/organizations/org-root/environments", "/api/v1/organizations/org-root/environments/env-prod",
			"/api/v1/organizations/org-unheard-of",
		} {
			stranger.get(path+lastDayQuery("1hour")).checkRefusal(http.StatusForbidden, "denied")
			g.client().get(path+lastDayQuery("1hour")).checkRefusal(http.StatusUnauthorized, "no-token")
		}
		if counts := stranger.counts("/api/v1/organizations/org-other" + lastDayQuery("1hour")); total(counts) != 0 {
			t.Errorf("counts of org-other: %v, want none", counts)
		}
	})
}

// TestStatisticsKeepTheVendorsRules checks the 400s and the empty answers of the
// vendor's page.
func TestStatisticsKeepTheVendorsRules(t *testing.T) {
	t.Parallel()
	g := newStack(t, false).gateway()
	one := g.as("app-one")
	const root = "/api/v1/organizations/org-root"
	august := time.Date(2025, time.August, 11, 17, 51, 54, 0, time.UTC)
	september := time.Date(2025, time.September, 11, 17, 51, 54, 0, time.UTC)
	for name, query := range map[string]string{
		"no parameter":             "",
		"no period":                strings.TrimSuffix(statsQuery(august, september, "1day"), "&period=1day"),
		"unknown period":           statsQuery(august, september, "1week"),
		"two hours over a day":     statsQuery(august, august.Add(26*time.Hour), "1hour"),
		"a day over a month":       statsQuery(august, september.AddDate(0, 0, 1), "1day"),
		"a day over two months":    statsQuery(august, august.AddDate(0, 2, 1), "1month"),
		"the end before the start": statsQuery(september, august, "1day"),
		"not a date":               "?startDate=2024-11-131T17%3A51%3A54.000Z&endDate=2024-11-13T17%3A51%3A54.000Z&period=1day",
		"isMaster is no boolean":   statsQuery(august, september, "1day") + "&isMaster=perhaps",
	} {
		if a := one.get(root + query); a.status != http.StatusBadRequest {
			t.Errorf("%s: %d %s, want 400", name, a.status, a.body)
		}
	}
	if counts := one.counts(root + statsQuery(august, september, "1day")); len(counts) != 32 {
		t.Errorf("August 11 to September 11 by the day: %d buckets, want 32: it is one calendar month", len(counts))
	}
	if counts := one.counts(root + statsQuery(august, september, "1month")); len(counts) != 2 || !counts[0].TimeStamp.Equal(time.Date(2025, time.August, 1, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("August 11 to September 11 by the month: %v, want August and September, stamped by their first", counts)
	}
	if counts := g.as("app-sub").counts("/api/v1/organizations/org-sub" + statsQuery(august, september, "1month") + "&isMaster=true"); len(counts) != 0 {
		t.Errorf("isMaster=true of a sub-organization: %v, want []", counts)
	}
}
