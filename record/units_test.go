package record_test

import (
	"math"
	"testing"

	"osgate/record"
)

func TestCountedAndBilledExchanges(t *testing.T) {
	const store = record.SurfaceObjectStore
	for name, tt := range map[string]struct {
		x               record.Exchange
		counted, billed bool
		would, is       int64 // CountedUnits, BilledUnits
	}{
		"forwarded":                               {record.Exchange{Surface: store, Status: 200, UpstreamAttempts: 1, UpstreamStatus: 200}, true, true, 1, 1},
		"hit":                                     {record.Exchange{Surface: store, Status: 200, Hit: true}, true, false, 1, 0},
		"hit that is refreshed":                   {record.Exchange{Surface: store, Status: 200, Hit: true, UpstreamAttempts: 1, UpstreamStatus: 200}, true, true, 1, 1},
		"stale because upstream failed":           {record.Exchange{Surface: store, Status: 200, Hit: true, UpstreamAttempts: 1, UpstreamStatus: 503}, true, false, 1, 0},
		"stale because upstream was away":         {record.Exchange{Surface: store, Status: 200, Hit: true, UpstreamAttempts: 2}, true, false, 1, 0},
		"304 of ours":                             {record.Exchange{Surface: store, Status: 304, Hit: true}, true, false, 1, 0},
		"304 of ours to a 200":                    {record.Exchange{Surface: store, Status: 304, UpstreamAttempts: 1, UpstreamStatus: 200}, true, true, 1, 1},
		"304 of upstream":                         {record.Exchange{Surface: store, Status: 304, UpstreamAttempts: 1, UpstreamStatus: 304}, false, false, 0, 0},
		"client left, upstream did it":            {record.Exchange{Surface: store, Status: 499, UpstreamAttempts: 1, UpstreamStatus: 204}, false, true, 0, 1},
		"refused by upstream":                     {record.Exchange{Surface: store, Status: 404, UpstreamAttempts: 1, UpstreamStatus: 404}, false, false, 0, 0},
		"refused by us":                           {record.Exchange{Surface: store, Status: 429}, false, false, 0, 0},
		"statistics":                              {record.Exchange{Surface: record.SurfaceStats, Status: 200, ResponseBytes: 1 << 20}, false, false, 0, 0},
		"access management":                       {record.Exchange{Surface: record.SurfaceAccounts, Status: 200, UpstreamAttempts: 1, UpstreamStatus: 200}, false, false, 0, 0},
		"exactly 100 KB":                          {record.Exchange{Surface: store, Status: 200, ResponseBytes: 100_000}, true, false, 1, 0},
		"a byte more":                             {record.Exchange{Surface: store, Status: 200, ResponseBytes: 100_001}, true, false, 2, 0},
		"a large write with a small answer":       {record.Exchange{Surface: store, Status: 200, RequestBytes: 1_000_000, ResponseBytes: 2}, true, false, 10, 0},
		"304 of ours to a large 200":              {record.Exchange{Surface: store, Status: 304, UpstreamAttempts: 1, UpstreamStatus: 200, UpstreamBytes: 1_000_000}, true, true, 1, 10},
		"old and small, refreshed and large":      {record.Exchange{Surface: store, Status: 200, Hit: true, ResponseBytes: 100_001, UpstreamAttempts: 1, UpstreamStatus: 200, UpstreamBytes: 200_001}, true, true, 2, 3},
		"left in the middle":                      {record.Exchange{Surface: store, Status: 499, ResponseBytes: 5, UpstreamAttempts: 1, UpstreamStatus: 200, UpstreamBytes: 300_000}, false, true, 0, 3},
		"a large write, forwarded":                {record.Exchange{Surface: store, Status: 201, RequestBytes: 1_000_000, UpstreamAttempts: 1, UpstreamStatus: 201, UpstreamBytes: 2}, true, true, 10, 10},
		"stale because upstream failed at length": {record.Exchange{Surface: store, Status: 200, Hit: true, UpstreamAttempts: 1, UpstreamStatus: 503, UpstreamBytes: 1_000_000}, true, false, 1, 0},
		"as large as it gets":                     {record.Exchange{Surface: store, Status: 200, ResponseBytes: math.MaxInt64}, true, false, math.MaxInt64/100_000 + 1, 0},
	} {
		if got := tt.x.Counted(); got != tt.counted {
			t.Errorf("%s: counted %t", name, got)
		}
		if got := tt.x.Billed(); got != tt.billed {
			t.Errorf("%s: billed %t", name, got)
		}
		if would, is := tt.x.CountedUnits(), tt.x.BilledUnits(); would != tt.would || is != tt.is {
			t.Errorf("%s: would be billed as %d and is as %d, want %d and %d", name, would, is, tt.would, tt.is)
		}
	}
}
