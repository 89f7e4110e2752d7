package record_test

import (
	"math"
	"testing"

	"osgate/record"
)

func TestWhatCountsAndWhatIsBilled(t *testing.T) {
	const store = record.SurfaceObjectStore
	for name, tt := range map[string]struct {
		x               record.Exchange
		counted, billed bool
		units           int64
	}{
		"forwarded":                         {record.Exchange{Surface: store, Status: 200, UpstreamAttempts: 1, UpstreamStatus: 200}, true, true, 1},
		"hit":                               {record.Exchange{Surface: store, Status: 200, Hit: true}, true, false, 1},
		"hit that is refreshed":             {record.Exchange{Surface: store, Status: 200, Hit: true, UpstreamAttempts: 1, UpstreamStatus: 200}, true, true, 1},
		"stale because upstream failed":     {record.Exchange{Surface: store, Status: 200, Hit: true, UpstreamAttempts: 1, UpstreamStatus: 503}, true, false, 1},
		"stale because upstream was away":   {record.Exchange{Surface: store, Status: 200, Hit: true, UpstreamAttempts: 2}, true, false, 1},
		"304 of ours":                       {record.Exchange{Surface: store, Status: 304, Hit: true}, true, false, 1},
		"304 of ours to a 200":              {record.Exchange{Surface: store, Status: 304, UpstreamAttempts: 1, UpstreamStatus: 200}, true, true, 1},
		"304 of upstream":                   {record.Exchange{Surface: store, Status: 304, UpstreamAttempts: 1, UpstreamStatus: 304}, false, false, 0},
		"client left, upstream did it":      {record.Exchange{Surface: store, Status: 499, UpstreamAttempts: 1, UpstreamStatus: 204}, false, true, 1},
		"refused by upstream":               {record.Exchange{Surface: store, Status: 404, UpstreamAttempts: 1, UpstreamStatus: 404}, false, false, 0},
		"refused by us":                     {record.Exchange{Surface: store, Status: 429}, false, false, 0},
		"statistics":                        {record.Exchange{Surface: record.SurfaceStats, Status: 200, ResponseBytes: 1 << 20}, false, false, 0},
		"access management":                 {record.Exchange{Surface: record.SurfaceAccounts, Status: 200, UpstreamAttempts: 1, UpstreamStatus: 200}, false, false, 0},
		"exactly 100 KB":                    {record.Exchange{Surface: store, Status: 200, ResponseBytes: 100_000}, true, false, 1},
		"a byte more":                       {record.Exchange{Surface: store, Status: 200, ResponseBytes: 100_001}, true, false, 2},
		"a large write with a small answer": {record.Exchange{Surface: store, Status: 200, RequestBytes: 1_000_000, ResponseBytes: 2}, true, false, 10},
		"as large as it gets":               {record.Exchange{Surface: store, Status: 200, ResponseBytes: math.MaxInt64}, true, false, math.MaxInt64/100_000 + 1},
	} {
		if got := tt.x.Counted(); got != tt.counted {
			t.Errorf("%s: counted %t", name, got)
		}
		if got := tt.x.Billed(); got != tt.billed {
			t.Errorf("%s: billed %t", name, got)
		}
		if got := tt.x.BilledUnits(); got != tt.units {
			t.Errorf("%s: %d units, want %d", name, got, tt.units)
		}
	}
}
