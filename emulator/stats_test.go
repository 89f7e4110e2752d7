package emulator_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"osgate/emulator"
)

const stats = "/us/api/v1/organizations/org-root"

// statsTarget returns the target of a request to the Stats API.
func statsTarget(path, start, end, period string, more ...string) string {
	q := url.Values{"startDate": {start}, "endDate": {end}, "period": {period}}
	return path + "?" + q.Encode() + strings.Join(more, "")
}

// buckets returns the counts as "timeStamp count".
func buckets(t testing.TB, got response) []string {
	t.Helper()
	if got.status != http.StatusOK {
		t.Fatalf("the answer is %d %s", got.status, got.body)
	}
	list := []string{}
	for _, b := range decode[[]struct {
		TimeStamp               string
		ObjectStoreRequestCount int
	}](t, got) {
		list = append(list, fmt.Sprint(b.TimeStamp, " ", b.ObjectStoreRequestCount))
	}
	return list
}

// inBubble runs a test with a clock that begins at 2000-01-01T00:00:00Z.
func inBubble(t *testing.T, o emulator.Options, test func(c client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(as(t, start(t, o), "us", "one")) })
}

func (c client) renew() client { return as(c.t, c.e, "us", "one") }

func TestBucketsAreThePeriodsFromStartToEnd(t *testing.T) {
	inBubble(t, emulator.Options{}, func(c client) {
		for name, row := range map[string]struct {
			start, end, period string
			want               []string
		}{
			"the page's month":   {"2024-08-11T17:51:54.000Z", "2024-09-11T17:51:54.000Z", "1month", []string{"2024-08-01T00:00:00Z 0", "2024-09-01T00:00:00Z 0"}},
			"the page's days":    {"2024-11-11T17:51:54.000Z", "2024-11-13T17:51:54.000Z", "1day", []string{"2024-11-11T00:00:00Z 0", "2024-11-12T00:00:00Z 0", "2024-11-13T00:00:00Z 0"}},
			"hours":              {"2024-11-11T17:51:54Z", "2024-11-11T19:00:00Z", "1hour", []string{"2024-11-11T17:00:00Z 0", "2024-11-11T18:00:00Z 0"}},
			"a day":              {"2024-11-11T00:00:00Z", "2024-11-12T00:00:00Z", "1day", []string{"2024-11-11T00:00:00Z 0"}},
			"a day and more":     {"2024-11-11T00:00:00Z", "2024-11-12T00:00:00.001Z", "1day", []string{"2024-11-11T00:00:00Z 0", "2024-11-12T00:00:00Z 0"}},
			"a boundary":         {"2024-11-11T00:00:00Z", "2024-11-11T00:00:00Z", "1day", []string{"2024-11-11T00:00:00Z 0"}},
			"an instant":         {"2024-11-11T17:51:54Z", "2024-11-11T17:51:54Z", "1hour", []string{"2024-11-11T17:00:00Z 0"}},
			"offsets":            {"2024-11-11T01:30:00+02:00", "2024-11-11T01:30:00-01:00", "1day", []string{"2024-11-10T00:00:00Z 0", "2024-11-11T00:00:00Z 0"}},
			"without seconds":    {"2024-11-11T17:51Z", "2024-11-11T17:52Z", "1day", []string{"2024-11-11T00:00:00Z 0"}},
			"three months' ends": {"2024-01-31T00:00:00Z", "2024-03-31T00:00:00Z", "1month", []string{"2024-01-01T00:00:00Z 0", "2024-02-01T00:00:00Z 0", "2024-03-01T00:00:00Z 0"}},
		} {
			if diff := cmp.Diff(row.want, buckets(c.t, c.get(statsTarget(stats, row.start, row.end, row.period)))); diff != "" {
				c.t.Errorf("%s: %s", name, diff)
			}
		}
	})
}

func TestWindowOfAQueryIsInCalendarMonths(t *testing.T) {
	c := one(t)
	for name, row := range map[string]struct {
		start, end, period string
		status             int
	}{
		"1 day of hours":                    {"2024-08-11T17:51:54Z", "2024-08-12T17:51:54Z", "1hour", 200},
		"more than 1 day of hours":          {"2024-08-11T17:51:54Z", "2024-08-12T17:51:55Z", "1hour", 400},
		"1 month of days, 31 of them":       {"2024-08-11T17:51:54Z", "2024-09-11T17:51:54Z", "1day", 200},
		"more than 1 month of days":         {"2024-08-11T17:51:54Z", "2024-09-11T17:51:55Z", "1day", 400},
		"more than February":                {"2025-02-01T00:00:00Z", "2025-03-02T00:00:00Z", "1day", 400},
		"the last of January to February's": {"2025-01-31T00:00:00Z", "2025-02-28T00:00:00Z", "1day", 200},
		"beyond February's last":            {"2025-01-31T00:00:00Z", "2025-03-01T00:00:00Z", "1day", 400},
		"2 months":                          {"2024-08-11T17:51:54Z", "2024-10-11T17:51:54Z", "1month", 200},
		"more than 2 months":                {"2024-08-11T17:51:54Z", "2024-10-11T17:51:55Z", "1month", 400},
		"the end before the start":          {"2024-08-11T17:51:54Z", "2024-08-11T17:51:53Z", "1month", 400},
		"period unknown":                    {"2024-08-11T17:51:54Z", "2024-08-11T17:51:54Z", "1week", 400},
		"no period":                         {"2024-08-11T17:51:54Z", "2024-08-11T17:51:54Z", "", 400},
		"no start":                          {"", "2024-08-11T17:51:54Z", "1day", 400},
		"no end":                            {"2024-08-11T17:51:54Z", "", "1day", 400},
		"the page's own mistake":            {"2024-11-11T17:51:54.000Z", "2024-11-131T17:51:54.000Z", "1day", 400},
		"no offset":                         {"2024-08-11T17:51:54", "2024-08-11T17:51:54Z", "1day", 400},
		"a date without a time":             {"2024-08-11", "2024-08-11T17:51:54Z", "1day", 400},
		"a space for a plus":                {"2024-08-11T17:51:54 02:00", "2024-08-11T17:51:54Z", "1day", 400},
		"no such day":                       {"2024-02-30T00:00:00Z", "2024-03-01T00:00:00Z", "1day", 400},
		"before the epoch":                  {"0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "1month", 400},
	} {
		for _, path := range []string{"", "/environments", "/environments/env-prod", "/environments/env-prod/regions", "/environments/env-prod/regions/us-east-1",
			"/environments/env-prod/regions/us-east-1/stores", "/environments/env-prod/regions/us-east-1/stores/" + demoStore} {
			if got := c.get(statsTarget(stats+path, row.start, row.end, row.period)); got.status != row.status {
				t.Errorf("%s: %s: the answer is %d %s, want %d", name, path, got.status, got.body, row.status)
			}
		}
	}
	c.must(http.StatusBadRequest, http.MethodGet, stats+anHour+"&isMaster=yes", "")
	c.must(http.StatusBadRequest, http.MethodGet, stats+anHour+"&x=%zz", "")
}

func TestRequestsAreCountedAtEveryLevel(t *testing.T) {
	inBubble(t, emulator.Options{}, func(c client) {
		sub := as(t, c.e, "us", "sub")
		c.get(demoKeys + "/KeyOne")
		c.get(demoKeys + "/KeyOne")
		c.get(demoKeys + "/none") // not served
		c.get(east + prod)
		c.get(east + "/api/v1/organizations/org-root/regions")
		c.get(strings.Replace(demo, "us-east-1", "eu-west-1", 1))
		c.get(strings.Replace(demo, "env-prod", "env-sandbox", 1))
		sub.get(east + "/api/v1/organizations/org-sub/environments/env-sub/stores/" + demoStore)
		as(t, c.e, "eu", "one").get("/eu/eu-west-1" + prod)
		c.advance(time.Hour)
		c = c.renew()
		c.get(demo)
		for path, want := range map[string][2]int{
			"": {6, 1}, "/environments/env-prod": {4, 1}, "/environments/env-sandbox": {1, 0}, "/environments/none": {0, 0},
			"/environments/env-prod/regions/us-east-1": {3, 1}, "/environments/env-prod/regions/eu-west-1": {1, 0},
			"/environments/env-prod/regions/us-east-1/stores/" + demoStore: {2, 1},
		} {
			got := buckets(c.t, c.get(statsTarget(stats+path, "2000-01-01T00:00:00Z", "2000-01-01T02:00:00Z", "1hour")))
			expected := []string{fmt.Sprint("2000-01-01T00:00:00Z ", want[0]), fmt.Sprint("2000-01-01T01:00:00Z ", want[1])}
			if diff := cmp.Diff(expected, got); diff != "" {
				c.t.Errorf("%q: %s", path, diff)
			}
			for _, period := range []string{"1day", "1month"} {
				got := buckets(c.t, c.get(statsTarget(stats+path, "2000-01-01T00:00:00Z", "2000-01-01T02:00:00Z", period)))
				if diff := cmp.Diff([]string{fmt.Sprint("2000-01-01T00:00:00Z ", want[0]+want[1])}, got); diff != "" {
					c.t.Errorf("%q by %s: %s", path, period, diff)
				}
			}
		}
		for path, want := range map[string]string{
			"/environments":                                   `["env-prod","env-sandbox"]`,
			"/environments/env-prod/regions":                  `["eu-west-1","us-east-1"]`,
			"/environments/env-prod/regions/us-east-1/stores": `["` + demoStore + `"]`,
			"/environments/none/regions":                      `[]`,
		} {
			if got := c.get(statsTarget(stats+path, "2000-01-01T00:00:00Z", "2000-01-01T00:00:00Z", "1hour")).body; got != want {
				c.t.Errorf("%q: the answer is %s, want %s", path, got, want)
			}
			if got := c.get(statsTarget(stats+path, "2000-01-01T02:00:00Z", "2000-01-01T03:00:00Z", "1hour")).body; got != "[]" {
				c.t.Errorf("%q, later: the answer is %s", path, got)
			}
		}
	})
}

func TestMasterSumsARootAndIsEmptyForASubOrganization(t *testing.T) {
	inBubble(t, emulator.Options{}, func(c client) {
		c.get(demo)
		sub := as(t, c.e, "us", "sub")
		sub.get(east + "/api/v1/organizations/org-sub/environments/env-sub/stores/" + demoStore)
		of := func(org, master string) string {
			return statsTarget("/us/api/v1/organizations/"+org, "2000-01-01T00:00:00Z", "2000-01-01T00:00:00Z", "1day", "&isMaster=", master)
		}
		for target, want := range map[string]string{
			of("org-root", "true"):  `[{"timeStamp":"2000-01-01T00:00:00Z","objectStoreRequestCount":2}]`,
			of("org-root", "false"): `[{"timeStamp":"2000-01-01T00:00:00Z","objectStoreRequestCount":1}]`,
			of("org-sub", "true"):   `[]`,
			of("org-sub", "false"):  `[{"timeStamp":"2000-01-01T00:00:00Z","objectStoreRequestCount":1}]`,
		} {
			if got := c.get(target).body; got != want {
				c.t.Errorf("%s: the answer is %s, want %s", target, got, want)
			}
		}
	})
}

func TestCountsAreKeptAsLongAsTheirPeriodIs(t *testing.T) {
	for period, months := range map[string]int{"1hour": 3, "1day": 12, "1month": 24} {
		inBubble(t, emulator.Options{}, func(c client) {
			c.get(demo)
			target := statsTarget(stats, "2000-01-01T00:00:00Z", "2000-01-01T00:00:00Z", period)
			c.advance(time.Duration(months*30-15) * day)
			c = c.renew()
			if got := buckets(c.t, c.get(target)); !cmp.Equal(got, []string{"2000-01-01T00:00:00Z 1"}) {
				c.t.Errorf("%s, before its time: the answer is %v", period, got)
			}
			c.advance(80 * day)
			c = c.renew()
			c.get(demo) // removes old counts
			if got := buckets(c.t, c.get(target)); !cmp.Equal(got, []string{"2000-01-01T00:00:00Z 0"}) {
				c.t.Errorf("%s, after its time: the answer is %v", period, got)
			}
		})
	}
}

func TestStatsLagDelaysWhatIsShown(t *testing.T) {
	inBubble(t, emulator.Options{StatsLag: 30 * time.Minute}, func(c client) {
		target := statsTarget(stats, "2000-01-01T00:00:00Z", "2000-01-01T00:00:00Z", "1day")
		c.get(demo)
		c.get(demo)
		for _, step := range []struct {
			after time.Duration
			want  string
		}{{0, "0"}, {29 * time.Minute, "0"}, {time.Minute, "2"}} {
			c.advance(step.after)
			if got := buckets(c.t, c.get(target)); got[0] != "2000-01-01T00:00:00Z "+step.want {
				c.t.Errorf("%v later: the answer is %v, want %s", step.after, got, step.want)
			}
		}
	})
}

func TestStatsNeedTheMetricsScope(t *testing.T) {
	c := one(t)
	c.must(http.StatusOK, http.MethodPatch, "/_osemu/clients/app-one", `{"scopes":["read:store","manage:store","manage:store_data"]}`)
	c.must(http.StatusForbidden, http.MethodGet, stats+anHour, "")
	c.must(http.StatusOK, http.MethodPatch, "/_osemu/clients/app-one", `{"scopes":["read:store_metrics"]}`)
	c.must(http.StatusOK, http.MethodGet, stats+anHour, "")
}

func TestStatsCanBeWhereTheVendorHasThemOnly(t *testing.T) {
	e := start(t, emulator.Options{Choose: map[string]string{"stats-planes": "documented"}})
	for plane, want := range map[string]int{"us": 200, "eu": 200, "gov": 404, "ca": 404, "jp": 404} {
		as(t, e, plane, "one").must(want, http.MethodGet, "/"+plane+"/api/v1/organizations/org-root"+anHour, "")
	}
}
