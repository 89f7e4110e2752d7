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

// lasting are the arguments of a Redis that writes to disk before it answers, and whose
// snapshot file may be renamed.
var lasting = []string{"--appendonly", "yes", "--appendfsync", "always", "--enable-protected-configs", "yes"}

// harassed is a Redis that loses no acknowledged write, although connections to it are
// disturbed.
type harassed struct {
	servers []*redistest.Server
	ways    []*way   // to the servers
	urls    []string // one for each gateway
	await   func()   // until the Redis is whole
}

// harassedSingle is one server, with a proxy of its own for each of two gateways.
func harassedSingle(t *testing.T) *harassed {
	t.Helper()
	h := &harassed{servers: []*redistest.Server{redistest.Start(t, lasting...)}, await: func() {}}
	for _, name := range []string{"redis of one", "redis of the other"} {
		w := newWay(t, name, h.servers[0].Addr())
		h.ways, h.urls = append(h.ways, w), append(h.urls, "redis://"+w.proxy.Listen+"/0")
	}
	return h
}

// harassedCluster is a cluster whose nodes announce the addresses of the proxies in
// front of them.
func harassedCluster(t *testing.T) *harassed {
	t.Helper()
	cluster := redistest.StartCluster(t, lasting...)
	h := &harassed{}
	addresses := url.Values{}
	for i := range redistest.Nodes {
		w := newWay(t, "redis node "+strconv.Itoa(i), cluster.Node(i).Addr())
		h.servers, h.ways = append(h.servers, cluster.Node(i)), append(h.ways, w)
		addresses.Add("addr", w.proxy.Listen)
	}
	h.await = func() {
		for i, node := range h.servers { // one that was restarted has forgotten
			_, port, _ := strings.Cut(h.ways[i].proxy.Listen, ":")
			node.Do("CONFIG", "SET", "cluster-announce-port", port)
		}
		cluster.Await()
		eventually(t, "each node to know the ways to all others", h.announced)
	}
	h.await()
	one := "redis://" + h.ways[0].proxy.Listen + "?" + addresses.Encode()
	h.urls = []string{one, one}
	return h
}

// announced reports whether each node of the cluster announces the proxies only.
func (h *harassed) announced() bool {
	for _, node := range h.servers {
		known := node.Do("CLUSTER", "NODES")
		for _, w := range h.ways {
			if !strings.Contains(known, w.proxy.Listen+"@") {
				return false
			}
		}
	}
	return true
}

// heal ends the disturbance of the proxies, and returns when the Redis works.
func (h *harassed) heal() {
	for _, w := range h.ways {
		w.heal()
	}
	h.await()
}

// Gateways flush each second. A disturbance of aFlush meets a flush of each gateway.
const (
	aFlush = 1200 * time.Millisecond
	aBlink = 300 * time.Millisecond
)

// harassments are the disturbances of a Redis: of all proxies in front of it, or of one
// server. Where responses are lost, the script was executed.
var harassments = map[string]func(h *harassed){
	"killed": func(h *harassed) {
		s := h.any()
		s.Stop()
		pause(aBlink)
		s.Restart()
	},
	"killed at once again": func(h *harassed) {
		s := h.any()
		for range 3 {
			s.Restart()
			pause(aBlink / 3)
		}
	},
	"frozen": func(h *harassed) {
		s := h.any()
		s.Pause()
		pause(aFlush)
		s.Resume()
	},
	"answers lost":      onAllWays(aFlush, func(w *way) { w.hole(back) }),
	"requests lost":     onAllWays(aFlush, func(w *way) { w.hole(forth) }),
	"answers too late":  onAllWays(aFlush, func(w *way) { w.delay(back, aFlush) }),
	"answers cut":       onAllWays(aBlink, func(w *way) { w.cut(back) }),
	"answers reset":     onAllWays(aBlink, func(w *way) { w.trouble("reset_peer", back, "timeout", 0) }),
	"answers shortened": onAllWays(aFlush, func(w *way) { w.shorten(int64(1 + rand.IntN(2000))) }),
	"requests cut":      onAllWays(aBlink, func(w *way) { w.cut(forth) }),
	"lost and killed": func(h *harassed) { // the batch in doubt is on the disk of a server that comes back
		for _, w := range h.ways {
			w.hole(back)
		}
		pause(aFlush)
		h.any().Restart()
	},
}

func (h *harassed) any() *redistest.Server { return h.servers[rand.IntN(len(h.servers))] }

// onAllWays disturbs all proxies for this duration.
func onAllWays(lasts time.Duration, trouble func(w *way)) func(h *harassed) {
	return func(h *harassed) {
		for _, w := range h.ways {
			trouble(w)
		}
		pause(lasts)
	}
}
