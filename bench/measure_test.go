package main

import (
	"testing"

	"osgate/bench/report"
)

func TestASampleOfAnotherKindIsNamed(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		kind   kind
		sample report.Sample
		valid  bool
	}{
		"a hit":                    {hit, report.Sample{}, true},
		"a hit from the origin":    {hit, report.Sample{Reads: 0.5}, false},
		"a hit that is an error":   {hit, report.Sample{Refused: 0.001}, false},
		"a miss":                   {miss, report.Sample{Reads: 1}, true},
		"a miss from the cache":    {miss, report.Sample{Reads: 0.9}, false},
		"a refusal":                {refused, report.Sample{Refused: 1}, true},
		"a refusal that is let in": {refused, report.Sample{Refused: 0.5}, false},
		"a broken connection":      {pass, report.Sample{Problem: "broken"}, false},
		"a pass from anywhere":     {pass, report.Sample{Reads: 0.5}, true},
		"a pass that was an error": {pass, report.Sample{Refused: 0.5}, false},
	} {
		if problem := test.kind.judge(test.sample); (problem == "") != test.valid {
			t.Errorf("%s: the problem is %q, valid is %v", name, problem, test.valid)
		}
	}
}
