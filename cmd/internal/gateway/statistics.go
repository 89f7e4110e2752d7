package gateway

import (
	"context"
	"time"

	"osgate/auth"
	"osgate/objectstore"
	"osgate/stats"
)

// answerer asks the statistics in the proxy's words.
type answerer struct{ counter *stats.Counter }

// Answer implements [proxy.Statistics].
func (a answerer) Answer(ctx context.Context, plane string, op objectstore.Operation, organizations []string, now time.Time) ([]byte, string, error) {
	said, err := a.counter.Answer(ctx, stats.Question{Plane: plane, Operation: op, Organizations: organizations}, now)
	return said.Body, said.Type, err
}

// learner tells the statistics of the organizations that callers belong to: the tree that isMaster sums over.
type learner struct {
	auth.Asker
	counter *stats.Counter
}

// Ask implements [auth.Asker].
func (l *learner) Ask(ctx context.Context, plane string, token auth.Token) (auth.Answer, error) {
	said, err := l.Asker.Ask(ctx, plane, token)
	if err == nil {
		for _, tree := range said.Principal.Trees {
			l.counter.LearnTree(plane, tree.Root, tree.Subs)
		}
	}
	return said, err
}
