package telemetry

import (
	"time"

	"osgate/record"
)

// overFor is how long a client counts as over its quota after it was refused.
const overFor = 10 * time.Second

// Standing is how a client stands with its quota. The zero Standing is that of a client of which no quota was asked, and is no part of the JSON.
type Standing struct {
	Quota     int     `json:"quota,omitempty"`     // requests in Period
	Period    float64 `json:"period,omitempty"`    // seconds
	Burst     int     `json:"burst,omitempty"`     // the most that can remain
	Remaining *int    `json:"remaining,omitempty"` // as last charged; Burst after a Period without requests
	Over      bool    `json:"over,omitempty"`      // refused for it within the last 10 seconds
}

// standing is what the last charged exchange of a client said of its quota.
type standing struct {
	quota, full, remaining int
	period                 time.Duration
	charged, refused       time.Time
}

// keep takes what x, which ended at now, says of the quota, if it was asked.
func (s *standing) keep(now time.Time, x *record.Exchange) {
	if !x.Charged {
		return
	}
	s.quota, s.period, s.full, s.remaining, s.charged = x.Quota, x.QuotaPeriod, x.QuotaFull, x.Remaining, now
	if x.Code == codeOverQuota {
		s.refused = now
	}
}

// at returns the standing at now.
func (s *standing) at(now time.Time) Standing {
	if s.quota == 0 {
		return Standing{}
	}
	remaining := s.remaining
	if now.Sub(s.charged) >= s.period {
		remaining = s.full
	}
	return Standing{
		Quota: s.quota, Period: s.period.Seconds(), Burst: s.full, Remaining: &remaining,
		Over: !s.refused.IsZero() && now.Sub(s.refused) < overFor,
	}
}
