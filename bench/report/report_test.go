package report

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// measured is a run of two rounds in which the machine was half as fast in the second.
func measured() *Run {
	return &Run{
		Scenarios: []Scenario{{
			Name: "hit", Title: "Hit", Subjects: []string{"peer", "osgate before", "osgate after"},
			References: []string{"peer", "osgate before"},
		}},
		Samples: []Sample{
			{Scenario: "hit", Subject: "peer", Connections: 32, Round: 0, Requests: 1, Rate: 1000, CPU: 10},
			{Scenario: "hit", Subject: "osgate before", Connections: 32, Round: 0, Requests: 1, Rate: 500, CPU: 40},
			{Scenario: "hit", Subject: "osgate after", Connections: 32, Round: 0, Requests: 1, Rate: 800, CPU: 20},
			{Scenario: "hit", Subject: "peer", Connections: 32, Round: 1, Requests: 1, Rate: 500, CPU: 20},
			{Scenario: "hit", Subject: "osgate before", Connections: 32, Round: 1, Requests: 1, Rate: 250, CPU: 80},
			{
				Scenario: "hit", Subject: "osgate after", Connections: 32, Round: 1, Requests: 1, Rate: 400, CPU: 40,
				Problem: "a miss",
			},
		},
	}
}

func TestRatiosAreThoseOfOneRound(t *testing.T) {
	t.Parallel()
	rows := measured().Rows()
	if len(rows) != 3 {
		t.Fatalf("%d rows, want 3", len(rows))
	}
	after := rows[2]
	if want := "0.80 × peer; 1.60 × osgate before"; after.ratio() != want {
		t.Errorf("ratio %q, want %q", after.ratio(), want)
	}
	if want := "2.00 × peer; 0.50 × osgate before"; after.cpuRatio() != want {
		t.Errorf("ratio of CPU %q, want %q", after.cpuRatio(), want)
	}
	if after.LowestCPU != 20 {
		t.Errorf("the lowest CPU is %v, want that of the first round", after.LowestCPU)
	}
	if rows[0].ratio() != "" {
		t.Errorf("the peer is compared with %q, want nothing", rows[0].ratio())
	}
}

func TestProblemsAreNamed(t *testing.T) {
	t.Parallel()
	r := measured()
	var text strings.Builder
	r.WriteMarkdown(&text)
	want := "**Not valid**: hit, osgate after, 32 connections: a miss"
	if len(r.Problems()) != 1 || !strings.Contains(text.String(), want) {
		t.Errorf("the problem is not in:\n%s", text.String())
	}
}

func TestMedian(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		values []float64
		want   float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{9, 1, 2}, 2}, {[]float64{4, 1, 2, 9}, 3}} {
		if got := Median(test.values); got != test.want {
			t.Errorf("the median of %v is %v, want %v", test.values, got, test.want)
		}
	}
}

func TestDocumentReplacesWhatIsBetweenTheMarkers(t *testing.T) {
	t.Parallel()
	page := filepath.Join(t.TempDir(), "page.md")
	write := func(text string) {
		if err := os.WriteFile(page, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("head\n<!-- make bench-peers -->\nold\n<!-- end -->\ntail\n")
	if err := measured().Document(page); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	s := string(text)
	if !strings.HasPrefix(s, "head\n") || !strings.HasSuffix(s, "\ntail\n") {
		t.Errorf("what is around the markers has changed:\n%s", s)
	}
	if strings.Contains(s, "old") || !strings.Contains(s, "osgate after") {
		t.Errorf("what is between the markers has not changed:\n%s", s)
	}
	write("no markers")
	if err := measured().Document(page); err == nil {
		t.Error("a page without markers is accepted")
	}
}
