package redistest

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	// masterName is the sentinels' name for the primary.
	masterName = "mymaster"
	// sentinels is the number of sentinels; two must agree.
	sentinels = 3
	// sentinelConfig is the initial configuration of a sentinel: when it considers the
	// primary down, which must not happen because the machine is busy, and how soon it
	// tries a failover again. It also names the replica and the other sentinels,
	// because finding them would take seconds.
	sentinelConfig = `sentinel monitor mymaster 127.0.0.1 %d 2
sentinel down-after-milliseconds mymaster 60000
sentinel failover-timeout mymaster 1000
sentinel known-replica mymaster 127.0.0.1 %d
sentinel myid %s
`
)

// Sentinels is a primary and a replica, and three sentinels that promote the replica
// when the primary is gone. Its methods are like those of [Server].
type Sentinels struct {
	t                testing.TB
	primary, replica *Server
	sentinels        []*Server
}

// StartSentinels starts the servers and returns when the replica follows and the
// sentinels agree. They are killed when the test ends. extra are more arguments for the
// primary and the replica.
func StartSentinels(t testing.TB, extra ...string) *Sentinels {
	t.Helper()
	args := append([]string{"--repl-diskless-sync-delay", "0"}, extra...) // otherwise the replica waits 5 s
	s := &Sentinels{t: t, primary: Start(t, args...)}
	s.replica = Start(t, append([]string{"--replicaof", "127.0.0.1 " + strconv.Itoa(s.primary.port)}, args...)...)
	await(t, "the replica to follow", func() bool {
		return strings.Contains(s.replica.Do("INFO", "replication"), "master_link_status:up")
	})
	if err := retry(s.launchSentinels); err != nil {
		t.Fatalf("starting the sentinels: %v", err)
	}
	for _, sentinel := range s.sentinels {
		hasten(sentinel)
		await(t, "the sentinels to agree", func() bool {
			ok, err := command(sentinel.Addr(), []string{"SENTINEL", "CKQUORUM", masterName})
			return err == nil && strings.HasPrefix(ok.text, "OK 3 ") && knowsReplica(sentinel)
		})
	}
	return s
}

// launchSentinels starts the sentinels on new ports.
func (s *Sentinels) launchSentinels() error {
	var ports [sentinels]int
	for i := range ports {
		port, err := freePort()
		if err != nil {
			return err
		}
		ports[i] = port
	}
	for _, old := range s.sentinels {
		old.kill()
	}
	s.sentinels = nil
	for i := range ports {
		sentinel, err := s.newSentinel(i, ports[:])
		if err != nil {
			return err
		}
		s.sentinels = append(s.sentinels, sentinel)
		if err := sentinel.launch(); err != nil {
			return err
		}
	}
	return nil
}

// newSentinel returns sentinel i with the addresses of the sentinels on the other
// ports.
func (s *Sentinels) newSentinel(i int, ports []int) (*Server, error) {
	config := fmt.Appendf(nil, sentinelConfig, s.primary.port, s.replica.port, sentinelID(i))
	for j, port := range ports {
		if j != i {
			config = fmt.Appendf(config, "sentinel known-sentinel %s 127.0.0.1 %d %s\n",
				masterName, port, sentinelID(j))
		}
	}
	dir := s.t.TempDir()
	file := filepath.Join(dir, "sentinel.conf") // the sentinel rewrites it
	if err := os.WriteFile(file, config, 0o600); err != nil {
		return nil, fmt.Errorf("writing a sentinel's configuration: %w", err)
	}
	sentinel := &Server{
		t: s.t, port: ports[i], ready: "+monitor master", file: file,
		args: []string{"--sentinel", "--bind", "127.0.0.1", "--dir", dir},
	}
	s.t.Cleanup(sentinel.kill)
	return sentinel, nil
}

// sentinelID returns the id of sentinel i: 40 hexadecimal digits.
func sentinelID(i int) string { return strings.Repeat(strconv.Itoa(i+1), 40) }

// knowsReplica reports whether a sentinel has received data of the replica, so that it
// may promote it.
func knowsReplica(sentinel *Server) bool {
	replicas, err := command(sentinel.Addr(), []string{"SENTINEL", "REPLICAS", masterName})
	i := slices.Index(replicas.list, "master-link-status")
	return err == nil && i >= 0 && replicas.list[i+1] == "ok"
}

// hasten makes a sentinel check and send more often than once a second. A Redis without
// this command (before 7.0) is slower. The ping period must not change: with a shorter
// one, the replica's last data would be out of date at the time of a failover.
func hasten(sentinel *Server) {
	for _, what := range []string{"INFO-PERIOD", "ASK-PERIOD", "PUBLISH-PERIOD"} {
		_, _ = command(sentinel.Addr(), []string{"SENTINEL", "DEBUG", what, "100"})
	}
}

// URL returns the addresses of the sentinels as a redis:// URL in the sentinel form.
func (s *Sentinels) URL() string {
	return urlOf(s.sentinels, url.Values{"master_name": {masterName}})
}

// Primary returns the server that accepts writes: after a failover, the promoted one.
func (s *Sentinels) Primary() *Server { return s.primary }

// Replica returns the server that follows the primary; nil after a failover.
func (s *Sentinels) Replica() *Server { return s.replica }

// Failover kills the primary and returns when the sentinels have promoted the replica.
// Data that was not replicated by then is lost. There is no replica afterwards.
func (s *Sentinels) Failover() {
	s.t.Helper()
	s.failover(s.primary.Stop)
}

// Freeze is Failover from a primary that stops answering with its connections open,
// like after [Server.Pause], and returns it. After Resume, the sentinels make it a
// replica of the new primary.
func (s *Sentinels) Freeze() *Server {
	s.t.Helper()
	old := s.primary
	s.failover(old.Pause)
	return old
}

func (s *Sentinels) failover(lose func()) {
	s.t.Helper()
	if s.replica == nil {
		s.t.Fatal("redistest: there is no replica left to promote")
	}
	for _, sentinel := range s.sentinels { // a short period only now, see sentinelConfig
		sentinel.Do("SENTINEL", "SET", masterName, "down-after-milliseconds", "500")
	}
	lose()
	await(s.t, "the sentinels to promote the replica", func() bool {
		info, err := command(s.replica.Addr(), []string{"INFO", "replication"}) // the promotion kills connections
		return err == nil && strings.Contains(info.text, "role:master") && s.agreed(s.replica)
	})
	s.primary, s.replica = s.replica, nil
}

// agreed reports whether a majority of the sentinels names the server as the primary.
func (s *Sentinels) agreed(primary *Server) bool {
	votes := 0
	for _, sentinel := range s.sentinels {
		named, err := command(sentinel.Addr(), []string{"SENTINEL", "GET-MASTER-ADDR-BY-NAME", masterName})
		if err == nil && len(named.list) == 2 && named.list[1] == strconv.Itoa(primary.port) {
			votes++
		}
	}
	return votes > sentinels/2
}
