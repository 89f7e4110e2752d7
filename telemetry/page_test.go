package telemetry_test

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"osgate/telemetry"
)

// The operator's page and the board agree only by the names in JSON: what the page reads of the traffic, the board writes.
func TestPageReadsWhatTheBoardWrites(t *testing.T) {
	source, err := os.ReadFile("../admin/page/app.js")
	if err != nil {
		t.Fatal(err)
	}
	script := string(source)
	synctest.Test(t, func(t *testing.T) {
		zero, up := func() int64 { return 0 }, func() bool { return true }
		b := telemetry.NewBoard(telemetry.Gauges{ExchangesUnderWay: zero, CacheBytes: zero, CacheEntries: zero, RedisUp: up})
		b.Keep(getKey())
		refused := getKey()
		refused.Status, refused.Code = 403, "denied"
		b.Keep(refused)
		pass(time.Second)
		text, err := json.Marshal(b.Snapshot(time.Now()))
		if err != nil {
			t.Fatal(err)
		}
		names := regexp.MustCompile(`\b(?:t|traffic|latencies|q|o|c|s|r)\.([a-z][A-Za-z0-9]+)\b[^(]`).FindAllStringSubmatch(script, -1)
		if len(names) < 40 {
			t.Fatalf("only %d names found in the script", len(names))
		}
		// What the page reads beside the traffic, of variables that are called the same.
		other := " time start version session health traffic status "
		for _, name := range names {
			if !strings.Contains(string(text), `"`+name[1]+`":`) && !strings.Contains(other, " "+name[1]+" ") {
				t.Errorf("the page reads %q, which is not in %s", name[1], text)
			}
		}
	})
	for _, o := range telemetry.Outcomes() {
		if !strings.Contains(script, "\n  "+o.String()+": [") {
			t.Errorf("the page has no words for the outcome %s", o)
		}
	}
}
