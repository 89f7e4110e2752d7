package board_test

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"osgate/record"
	"osgate/telemetry/board"
)

// script returns a module of the operator's page.
func script(t *testing.T, name string) string {
	t.Helper()
	source, err := os.ReadFile("../../admin/page/assets/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(source)
}

// busyBoard returns a board in which every field has a value.
func busyBoard() *board.Board {
	zero, up := func() int64 { return 0 }, func() bool { return true }
	b := board.New(board.Gauges{
		ExchangesUnderWay: func(func(string, int64)) {}, CacheBytes: zero, CacheEntries: zero, RedisUp: up,
	})
	over := getKey()
	over.Status, over.Code, over.Quota, over.QuotaPeriod, over.QuotaFull = 429, "over-quota", 10, time.Second, 10
	denied := getKey()
	denied.Status, denied.Code, denied.Rule, denied.Shadow, denied.PolicyErrors = 403, "denied", "no-deletes", []string{"a"}, []string{"b"}
	for _, x := range []*record.Exchange{getKey(), denied, over} {
		b.Keep(x)
	}
	return b
}

// The operator's page and the board agree only by the names in JSON: the board writes
// every name that the page reads.
func TestPageReadsWhatTheBoardWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := busyBoard()
		pass(5 * time.Second)
		for _, tt := range []struct {
			module, variables string
			atLeast           int
			value             any
		}{
			{"traffic.js", "t|latencies|saved|requests|units|q|o|c|s|r", 60, b.Snapshot(time.Now())},
			{"recent.js", "recent", 6, b.Recent(time.Now(), board.MaxRecent)},
		} {
			text, err := json.Marshal(tt.value)
			if err != nil {
				t.Fatal(err)
			}
			names := regexp.MustCompile(`\b(?:`+tt.variables+`)\.([a-z][A-Za-z0-9]+)\b[^(]`).FindAllStringSubmatch(script(t, tt.module), -1)
			if len(names) < tt.atLeast {
				t.Errorf("only %d names found in %s", len(names), tt.module)
			}
			for _, name := range names {
				if name[1] != "failed" && !strings.Contains(string(text), `"`+name[1]+`":`) { // "failed" is the page's own
					t.Errorf("%s reads %q, which is not in %s", tt.module, name[1], text)
				}
			}
		}
	})
}

func TestPageHasWordsForEveryOutcome(t *testing.T) {
	words := script(t, "words.js")
	for _, o := range record.Outcomes() {
		if !strings.Contains(words, "\n  "+o.String()+": [") {
			t.Errorf("the page has no words for the outcome %s", o)
		}
	}
}
