package emulator

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Options configures New. The zero value is the built-in world, kept in memory,
// limited to 10 requests in any second per client, without faults.
type Options struct {
	// World contains the organizations, environments, clients, users, stores and
	// entries that exist at the start. Nil means BuiltInWorld.
	World *World

	// Data is a folder in which all data are stored between runs: stores, entries,
	// pending confirmations, tokens, rights, counts and the clock. They survive kill
	// -9, but not a power failure. Empty means memory only. Data in the folder replace
	// the stores and entries of World.
	Data string

	// Rate is how many Object Store requests are served in any sliding second.
	// Zero means 10, the vendor's base rate; negative means no limit.
	Rate int

	// RateBy is the unit that Rate limits: "client" (the default), "location" (a client
	// in each region), "app", "store" or "ip".
	RateBy string

	// AccountsRate is how many Access Management requests a client or user may make
	// in a minute. Zero means 500; negative means no limit and no X-RateLimit headers.
	AccountsRate int

	// StatsRate is how many Stats API requests of a client are served in any sliding
	// second; more get 429. Zero and negative mean no limit.
	StatsRate int

	// Latency is added to each answer.
	Latency time.Duration

	// Fault is the probability of each kind of fault, as in
	// "429=0.01,500=0.01,reset=0.01,cut=0.01,slow=0.01"; see Faults. Empty means none.
	Fault string

	// Seed makes faults and ids repeatable. Zero means a random seed.
	Seed int64

	// StatsLag is the time after which the Stats API shows a request.
	StatsLag time.Duration

	// Choose sets properties that are not known outside the vendor: choice to value, as
	// listed by Choices. A choice that is not named has its default.
	Choose map[string]string

	// Log receives one readable line per request; nil means none. Writes do not
	// overlap.
	Log io.Writer
}

const (
	defaultRate         = 10
	defaultAccountsRate = 500
	// maxRate limits the size of one client's sliding log.
	maxRate = 100_000
)

// complete returns o with defaults in place of zero values, or an error that lists all
// of its problems.
func (o Options) complete() (Options, error) {
	var problems []error
	if o.World == nil {
		o.World = BuiltInWorld()
	}
	if o.Rate == 0 {
		o.Rate = defaultRate
	}
	if o.Rate > maxRate {
		problems = append(problems, fmt.Errorf("rate %d: the most is %d", o.Rate, maxRate))
	}
	if o.StatsRate == 0 {
		o.StatsRate = -1
	}
	if o.StatsRate > maxRate {
		problems = append(problems, fmt.Errorf("stats rate %d: the most is %d", o.StatsRate, maxRate))
	}
	if o.AccountsRate == 0 {
		o.AccountsRate = defaultAccountsRate
	}
	if o.RateBy == "" {
		o.RateBy = "client"
	}
	if !slices.Contains(rateSubjects(), o.RateBy) {
		problems = append(problems, fmt.Errorf("rate by %q: one of %s", o.RateBy, strings.Join(rateSubjects(), ", ")))
	}
	if o.StatsLag < 0 {
		problems = append(problems, fmt.Errorf("stats lag %v: not below zero", o.StatsLag))
	}
	problems = append(problems, o.World.check()...)
	return o, errors.Join(problems...)
}
