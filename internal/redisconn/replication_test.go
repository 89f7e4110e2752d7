package redisconn_test

import (
	"testing"

	"osgate/internal/redisconn/redistest"
)

func TestAPrimaryThatKeepsNoReplicaToWriteToIsNamed(t *testing.T) {
	t.Parallel()
	unguarded := func(url string) ([]string, error) {
		c, _ := open(t, url)
		return c.Unguarded(t.Context())
	}
	alone := redistest.Start(t)
	if got, err := unguarded(alone.URL()); err != nil || len(got) > 0 {
		t.Errorf("a server without replicas: %v, %v; want none", got, err)
	}
	s := redistest.StartSentinels(t)
	guard := func(replicas string) { s.Primary().Do("CONFIG", "SET", "min-replicas-to-write", replicas) }
	guard("0")
	if got, err := unguarded(s.URL()); err != nil || len(got) != 1 {
		t.Errorf("a primary with a replica and no min-replicas-to-write: %v, %v; want it named", got, err)
	}
	guard("1")
	if got, err := unguarded(s.URL()); err != nil || len(got) > 0 {
		t.Errorf("a primary with min-replicas-to-write: %v, %v; want none", got, err)
	}
	cluster := redistest.StartCluster(t)
	if got, err := unguarded(cluster.URL()); err != nil || len(got) > 0 {
		t.Errorf("a cluster without replicas: %v, %v; want none", got, err)
	}
	alone.Stop()
	if _, err := unguarded(alone.URL()); err == nil {
		t.Error("a server that is stopped: no error")
	}
}
