package board

import (
	"time"

	"osgate/record"
)

// overQuotaTime is how long a client counts as over its quota after a refusal.
const overQuotaTime = 10 * time.Second

// QuotaState is the state of a client's quota. The zero QuotaState means that no quota
// was checked; it is left out of the JSON.
type QuotaState struct {
	Quota  int     `json:"quota,omitempty"`  // requests in Period
	Period float64 `json:"period,omitempty"` // seconds
	Burst  int     `json:"burst,omitempty"`  // maximum of Remaining
	// after the last charged exchange; Burst after a Period without requests
	Remaining *int `json:"remaining,omitempty"`
	Over      bool `json:"over,omitempty"` // refused because of the quota within the last 10 seconds
}

// quotaState contains the quota of the last charged exchange of a client.
type quotaState struct {
	quota, full, remaining int
	period                 time.Duration
	charged, refused       time.Time
}

// keep records the quota of x, which ended at now, if it was charged.
func (s *quotaState) keep(now time.Time, x *record.Exchange) {
	if !x.Charged {
		return
	}
	s.quota, s.period, s.full, s.remaining, s.charged = x.Quota, x.QuotaPeriod, x.QuotaFull, x.Remaining, now
	if x.Code == record.CodeOverQuota {
		s.refused = now
	}
}

// at returns the state at now.
func (s *quotaState) at(now time.Time) QuotaState {
	if s.quota == 0 {
		return QuotaState{}
	}
	remaining := s.remaining
	if now.Sub(s.charged) >= s.period {
		remaining = s.full
	}
	return QuotaState{
		Quota: s.quota, Period: s.period.Seconds(), Burst: s.full, Remaining: &remaining,
		Over: !s.refused.IsZero() && now.Sub(s.refused) < overQuotaTime,
	}
}
