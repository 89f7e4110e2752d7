package emulator

import (
	"sync"
	"time"
)

// series is the key under which requests are counted. Environment is empty for the list
// of regions, store for operations that do not concern a single store; those count only
// for the levels above.
type series struct{ plane, organization, environment, region, store string }

// counts are the Object Store requests answered 2xx, by series and hour. It is safe
// for concurrent use.
type counts struct {
	lag  time.Duration
	disk *disk

	mu     sync.Mutex                 // guards the fields below
	hours  map[series]map[int64]int64 // by the hour's start in Unix seconds
	recent []counted                  // not shown yet, the oldest first
	pruned time.Time
}

// counted are requests of one series and minute.
type counted struct {
	series series
	minute int64
	n      int64
}

// retention returns for how many months the counts of a period are kept (page "Object
// Store v2 REST APIs", "Usage Metrics Limits"), or 0 for an unknown period.
func retention(period string) int {
	return map[string]int{"1hour": 3, "1day": 12, "1month": 24}[period]
}

func newCounts(lag time.Duration, d *disk) *counts {
	return &counts{lag: lag, disk: d, hours: map[series]map[int64]int64{}}
}

// count counts one request.
func (s *counts) count(at place, r ref, now time.Time) {
	of := series{at.plane, r.organization, r.environment, at.region, r.store}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.prune(now)
	minute := now.Truncate(time.Minute).Unix()
	if s.lag == 0 {
		s.add(of, minute, 1)
		return
	}
	for i := len(s.recent) - 1; i >= 0 && s.recent[i].minute == minute; i-- {
		if s.recent[i].series == of {
			s.recent[i].n++
			return
		}
	}
	s.recent = append(s.recent, counted{of, minute, 1})
}

// add counts n requests of a minute, visible to queries.
func (s *counts) add(of series, minute, n int64) {
	hour := time.Unix(minute, 0).Truncate(time.Hour).Unix()
	hours := s.hours[of]
	if hours == nil {
		hours = map[int64]int64{}
		s.hours[of] = hours
	}
	hours[hour] += n
	s.disk.keepCount(of, hour, hours[hour])
}

// show makes old enough counts visible.
func (s *counts) show(now time.Time) {
	for len(s.recent) > 0 && now.Sub(time.Unix(s.recent[0].minute, 0)) >= s.lag {
		first := s.recent[0]
		s.recent = s.recent[1:]
		s.add(first.series, first.minute, first.n)
	}
}

// prune drops, once a day, the counts that queries can no longer reach.
func (s *counts) prune(now time.Time) {
	if now.Sub(s.pruned) < 24*time.Hour {
		return
	}
	s.pruned = now
	oldest := addMonths(now, -retention("1month")-1).Unix()
	for of, hours := range s.hours {
		for hour := range hours {
			if hour < oldest {
				delete(hours, hour)
				s.disk.forgetCount(of, hour)
			}
		}
		if len(hours) == 0 {
			delete(s.hours, of)
		}
	}
}

// each visits every count of the series for which match returns true.
func (s *counts) each(now time.Time, match func(series) bool, visit func(of series, hour time.Time, n int64)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.show(now)
	for of, hours := range s.hours {
		if !match(of) {
			continue
		}
		for hour, n := range hours {
			visit(of, time.Unix(hour, 0).UTC(), n)
		}
	}
}
