package e2e

import (
	"math/rand/v2"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"osgate/internal/redisconn/redistest"
)

// durableRedis are the arguments of a Redis that writes to disk before it answers, and
// whose snapshot file may be renamed.
var durableRedis = []string{"--appendonly", "yes", "--appendfsync", "always", "--enable-protected-configs", "yes"}

// disturbedRedis is a Redis that loses no acknowledged write, although connections to
// it are disturbed.
type disturbedRedis struct {
	servers      []*redistest.Server
	proxies      []*tcpProxy // to the servers
	urls         []string    // one for each gateway
	awaitWorking func()      // until the Redis has recovered
}

// newDisturbedServer is one server, with a proxy of its own for each of two gateways.
func newDisturbedServer(t *testing.T) *disturbedRedis {
	t.Helper()
	h := &disturbedRedis{servers: []*redistest.Server{redistest.Start(t, durableRedis...)}, awaitWorking: func() {}}
	for _, name := range []string{"redis of one", "redis of the other"} {
		w := newTCPProxy(t, name, h.servers[0].Addr())
		h.proxies, h.urls = append(h.proxies, w), append(h.urls, "redis://"+w.proxy.Listen+"/0")
	}
	return h
}

// newDisturbedCluster is a cluster whose nodes announce the addresses of the proxies in
// front of them.
func newDisturbedCluster(t *testing.T) *disturbedRedis {
	t.Helper()
	cluster := redistest.StartCluster(t, durableRedis...)
	h := &disturbedRedis{}
	addresses := url.Values{}
	for i := range redistest.Nodes {
		w := newTCPProxy(t, "redis node "+strconv.Itoa(i), cluster.Node(i).Addr())
		h.servers, h.proxies = append(h.servers, cluster.Node(i)), append(h.proxies, w)
		addresses.Add("addr", w.proxy.Listen)
	}
	h.awaitWorking = func() {
		for i, node := range h.servers { // a restarted node has forgotten
			_, port, _ := strings.Cut(h.proxies[i].proxy.Listen, ":")
			node.Do("CONFIG", "SET", "cluster-announce-port", port)
		}
		cluster.Await()
		eventually(t, "each node to know the proxies of all others", h.announcesProxies)
	}
	h.awaitWorking()
	one := "redis://" + h.proxies[0].proxy.Listen + "?" + addresses.Encode()
	h.urls = []string{one, one}
	return h
}

// announcesProxies reports whether each node of the cluster announces the proxies only.
func (h *disturbedRedis) announcesProxies() bool {
	for _, node := range h.servers {
		known := node.Do("CLUSTER", "NODES")
		for _, w := range h.proxies {
			if !strings.Contains(known, w.proxy.Listen+"@") {
				return false
			}
		}
	}
	return true
}

// heal ends the disturbance of the proxies, and returns when the Redis works.
func (h *disturbedRedis) heal() {
	for _, w := range h.proxies {
		w.heal()
	}
	h.awaitWorking()
}

// Gateways flush each second. A disturbance of flushTime meets a flush of each gateway.
const (
	flushTime   = 1200 * time.Millisecond
	shortOutage = 300 * time.Millisecond
)

// disturbances are the disturbances of a Redis: of all proxies in front of it, or of
// one server. Where responses are lost, the script was executed.
var disturbances = map[string]func(h *disturbedRedis){
	"killed": func(h *disturbedRedis) {
		s := h.anyServer()
		s.Stop()
		pause(shortOutage)
		s.Restart()
	},
	"killed at once again": func(h *disturbedRedis) {
		s := h.anyServer()
		for range 3 {
			s.Restart()
			pause(shortOutage / 3)
		}
	},
	"frozen": func(h *disturbedRedis) {
		s := h.anyServer()
		s.Pause()
		pause(flushTime)
		s.Resume()
	},
	"answers lost":      onAllProxies(flushTime, func(w *tcpProxy) { w.blackHole(toClient) }),
	"requests lost":     onAllProxies(flushTime, func(w *tcpProxy) { w.blackHole(toServer) }),
	"answers too late":  onAllProxies(flushTime, func(w *tcpProxy) { w.delay(toClient, flushTime) }),
	"answers cut":       onAllProxies(shortOutage, func(w *tcpProxy) { w.cut(toClient) }),
	"answers reset":     onAllProxies(shortOutage, func(w *tcpProxy) { w.addFault("reset_peer", toClient, "timeout", 0) }),
	"answers shortened": onAllProxies(flushTime, func(w *tcpProxy) { w.truncate(int64(1 + rand.IntN(2000))) }),
	"requests cut":      onAllProxies(shortOutage, func(w *tcpProxy) { w.cut(toServer) }),
	"lost and killed": func(h *disturbedRedis) { // the batch in doubt is on the disk of a server that is started again
		for _, w := range h.proxies {
			w.blackHole(toClient)
		}
		pause(flushTime)
		h.anyServer().Restart()
	},
}

func (h *disturbedRedis) anyServer() *redistest.Server { return h.servers[rand.IntN(len(h.servers))] }

// onAllProxies disturbs all proxies for this duration.
func onAllProxies(lasts time.Duration, trouble func(w *tcpProxy)) func(h *disturbedRedis) {
	return func(h *disturbedRedis) {
		for _, w := range h.proxies {
			trouble(w)
		}
		pause(lasts)
	}
}
