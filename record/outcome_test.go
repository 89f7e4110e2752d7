package record_test

import (
	"errors"
	"testing"

	"osgate/record"
)

func TestEveryExchangeHasOneOutcome(t *testing.T) {
	for name, tt := range map[string]struct {
		x    record.Exchange
		want record.Outcome
	}{
		"hit":                              {record.Exchange{Status: 200, Hit: true}, record.OutcomeHit},
		"another request's fetch failed":   {record.Exchange{Status: 503, Hit: true}, record.OutcomeUpstreamError},
		"stale, since upstream failed":     {record.Exchange{Status: 200, Hit: true, UpstreamAttempts: 1, UpstreamStatus: 503}, record.OutcomeHit},
		"not modified, from the cache":     {record.Exchange{Status: 304, Hit: true}, record.OutcomeHit},
		"upstream's 200":                   {record.Exchange{Status: 200, UpstreamStatus: 200, UpstreamAttempts: 1}, record.OutcomeUpstreamOK},
		"upstream's 429":                   {record.Exchange{Status: 429, UpstreamStatus: 429, UpstreamAttempts: 1}, record.OutcomeUpstreamClientError},
		"upstream's 500":                   {record.Exchange{Status: 500, UpstreamStatus: 500, UpstreamAttempts: 1}, record.OutcomeUpstreamError},
		"upstream broke off":               {record.Exchange{Status: 200, UpstreamStatus: 200, UpstreamAttempts: 1, Aborted: true}, record.OutcomeUpstreamError},
		"upstream unreachable":             {record.Exchange{Status: 502, Code: "upstream-unreachable", UpstreamAttempts: 1}, record.OutcomeUpstreamError},
		"upstream late":                    {record.Exchange{Status: 504, Code: "upstream-timeout", UpstreamAttempts: 1}, record.OutcomeUpstreamError},
		"only-if-cached, nothing is":       {record.Exchange{Status: 504, Code: "upstream-timeout"}, record.OutcomeRefused},
		"over quota":                       {record.Exchange{Status: 429, Code: "over-quota"}, record.OutcomeRefused},
		"body too large, half of it sent":  {record.Exchange{Status: 413, Code: "too-large", UpstreamAttempts: 1}, record.OutcomeRefused},
		"statistics":                       {record.Exchange{Status: 200}, record.OutcomeLocal},
		"client left before an answer":     {record.Exchange{Status: 499, Code: "bad-request", UpstreamAttempts: 1}, record.OutcomeClientLeft},
		"client left while we wrote a hit": {record.Exchange{Status: 499, Hit: true, Aborted: true}, record.OutcomeClientLeft},
	} {
		if got := tt.x.Outcome(); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
}

func TestAnOutcomeIsReadByItsName(t *testing.T) {
	for _, want := range record.Outcomes() {
		name, err := want.MarshalText()
		var got record.Outcome
		if err := errors.Join(err, got.UnmarshalText(name)); err != nil || got != want {
			t.Errorf("%s is read as %d, %v", name, got, err)
		}
	}
	var newer record.Outcome
	if err := newer.UnmarshalText([]byte("of another version")); err != nil || newer != record.NumOutcomes {
		t.Errorf("an unknown name is read as %d, %v", newer, err)
	}
}
