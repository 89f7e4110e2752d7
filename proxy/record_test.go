package proxy

import (
	"testing"

	"osgate/record"
)

// keeper is a [Keeper] that is a function.
type keeper func(*record.Exchange)

func (k keeper) Keep(x *record.Exchange) { k(x) }

// TestAnExchangeIsUnderWayUntilItIsRecorded: the end of the process waits for those that are under way, and their records are not to be lost.
func TestAnExchangeIsUnderWayUntilItIsRecorded(t *testing.T) {
	var g *rig
	var during []int64
	g = newRig(t, func(o *Options) { o.Keeper = keeper(func(*record.Exchange) { during = append(during, g.Exchanges()) }) })
	g.do(request(t, "GET /api/v1/organizations/o?period=1day", "Authorization: Bearer one"))
	if len(during) != 1 || during[0] != 1 || g.Exchanges() != 0 {
		t.Errorf("%v exchanges were under way as one was recorded, %d after it, want 1 and none", during, g.Exchanges())
	}
}
