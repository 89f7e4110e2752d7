package policy

import (
	"strings"
	"sync"

	"osgate/internal/recent"
)

// The bounds of the decisions that are remembered.
const (
	rememberedDecisions = 2048 // twice that at most
	rememberedNames     = 1024 // bytes of the names in one question
)

// decisions remembers the decisions on questions. It is safe for concurrent use.
type decisions struct {
	mu    sync.Mutex // guards known
	known recent.Map[question, Decision]
}

func newDecisions() *decisions {
	return &decisions{known: recent.New[question, Decision](rememberedDecisions)}
}

// of returns the decision on q, if it is remembered. It must not be changed.
func (ds *decisions) of(q *question) (Decision, bool) {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	return ds.known.Get(*q)
}

// remember keeps the decision on q, unless q has long names.
func (ds *decisions) remember(q *question, d Decision) {
	kept, bytes := *q, 0
	for _, name := range []*string{
		&kept.ref.Organization, &kept.ref.Environment, &kept.ref.Region, &kept.ref.Store, &kept.ref.Partition,
		&kept.client, &kept.user, &kept.issuer, &kept.plane, &kept.region, &kept.environmentType,
	} {
		*name = strings.Clone(*name) // so that the request from which it was cut is not kept in memory
		bytes += len(*name)
	}
	if bytes > rememberedNames {
		return
	}
	ds.mu.Lock()
	defer ds.mu.Unlock()
	ds.known.Put(kept, d)
}
