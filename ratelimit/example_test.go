package ratelimit_test

import (
	"context"
	"fmt"
	"time"

	"osgate/ratelimit"
)

// A client's quota and a budget for all clients are two Turns over one limiter. They
// share one time budget: the time that the first has used is not available to the
// second.
func ExampleBudgetKey() {
	limiter := ratelimit.NewLocal(ratelimit.LocalOptions{})
	quotas := ratelimit.NewTurns(ratelimit.TurnsOptions{Limiter: limiter, MaxWait: time.Second})
	budgets := ratelimit.NewTurns(ratelimit.TurnsOptions{Limiter: limiter, MaxWait: time.Second})
	quota := ratelimit.Quota{Rate: 10, Period: time.Second, Burst: 10}
	budget := ratelimit.Quota{Rate: 1, Period: time.Minute, Algorithm: ratelimit.AlgorithmWindow}

	for _, client := range []string{"one", "two"} {
		mine, waited, _ := quotas.Take(context.Background(), ratelimit.Key("us", client), quota)
		key := ratelimit.BudgetKey(ratelimit.BudgetByOrganization, "us", "org", "env", "us-east-1", "store")
		ours, _, _ := budgets.TakeWithin(context.Background(), key, budget, time.Second-waited)
		fmt.Println(client, "is within quota:", mine.Allowed, "and budget:", ours.Allowed)
	}
	// Output:
	// one is within quota: true and budget: true
	// two is within quota: true and budget: false
}
