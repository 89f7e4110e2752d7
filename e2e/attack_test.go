package e2e

import (
	"flag"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

var attackFlag = flag.Duration("attack", 0, "duration of each attack; the table of attacks is printed too. 0: 2 s, no table")

const (
	// attackTime is the duration of an attack in an ordinary run of the tests.
	attackTime = 2 * time.Second

	// baselineTime is the duration for which good clients are observed before the
	// attack.
	baselineTime = 500 * time.Millisecond

	// memoryBound is the most memory (RSS) in bytes that the gateway may use in an
	// attack without a bound of its own. It is coarse: it detects growth without a
	// limit.
	memoryBound = 400 << 20
)

// attack is one way in which a client without a valid token may try to harm others.
type attack struct {
	name     string
	brokered string   // OSGATE_AUTH, if good clients have a JWT in place of an Anypoint token
	settings []string // of the gateway, as "RATE=0"
	tls      bool     // the gateway serves HTTPS and HTTP/2
	osemu    []string // flags of osemu
	redis    bool     // the gateway has a Redis; otherwise its stores are embedded
	// upstream answers the gateway in place of osemu and reports true, or reports
	// false; nil: osemu answers all requests
	upstream        func(http.ResponseWriter, *http.Request) bool
	descriptors     int              // limit of the gateway's open files; 0: that of the test
	addresses       int              // addresses of the attackers; 0: one address, different from the good clients'
	sameAddress     bool             // the attackers have the address of the good clients
	knownTokensOnly bool             // the good clients use only known tokens during the attack
	waitsUntilReady bool             // the time of the attack begins when its attackers are ready
	runsToItsEnd    bool             // the attack ends when run returns, within patience
	memory          int64            // bound of the gateway's RSS in bytes; 0: memoryBound
	run             func(*attackRun) // returns soon after over reports true
	check           func(*attackRun) // runs after the attack, when its connections are closed
}

// attackRun is one run of an attack against a gateway of its own.
type attackRun struct {
	*testing.T
	*attackers
	attack
	stack      *stack
	brokering  *brokering // nil: good clients have Anypoint tokens
	gateway    *gateway
	legitimate *legitimateClients
}

// attackResults holds the results of the attacks; TestMain prints it at the end.
var attackResults attackTable

// checkAttacks runs each attack while clients with valid tokens read and write through
// the same gateway. It fails the test unless each of their answers is 2xx, the
// operator's /livez is 200 all the time, the process survives, and its memory stays
// below the bound. Latencies are printed, but have no bound.
func checkAttacks(t *testing.T, attacks ...attack) {
	t.Helper()
	for _, a := range attacks {
		t.Run(strings.NewReplacer(" ", "-", "/", "").Replace(a.name), func(t *testing.T) {
			t.Parallel()
			one := &attackRun{T: t, attack: a}
			one.start()
			one.observe()
		})
	}
}

// start starts the gateway and its good clients.
func (a *attackRun) start() {
	a.Helper()
	a.stack = newStack(a.T, a.redis, a.osemu...)
	settings := []string{"RATE=1000", "RATE_BURST=1000"}
	if a.brokered != "" {
		a.brokering = a.stack.brokering(a.T)
		settings = a.brokering.settings(append(settings, "AUTH="+a.brokered)...)
	}
	settings = append(settings, a.settings...)
	if a.upstream != nil {
		settings = append(settings, "UPSTREAM_OVERRIDE="+startProxy(a.T, a.stack.emulator, a.upstream))
	}
	a.attackers = newAttackers(a.attack)
	if a.tls {
		cert, key, roots := certificate(a.T)
		settings = append(settings, "TLS_CERT="+cert, "TLS_KEY="+key)
		a.roots = roots
	}
	a.gateway = a.stack.gatewayWithDescriptors(a.descriptors, settings...)
	a.addr = a.gateway.addr()
	a.legitimate = newLegitimateClients(a)
}

// observe observes the good clients without the attack, then with it, and checks the
// effects.
func (a *attackRun) observe() {
	a.Helper()
	length, calmLength := attackTime, baselineTime
	if *attackFlag > 0 {
		length, calmLength = *attackFlag, *attackFlag
	}
	calm := a.legitimate.observe(a, func(*observations) { <-time.After(calmLength) })
	memory := a.gateway.watchMemory()
	during := a.legitimate.observe(a, func(v *observations) {
		done := make(chan struct{})
		go func() { // ends with the attack
			defer a.stop()
			a.awaitEnd(length, done, v)
		}()
		a.attack.run(a)
		close(done)
		<-a.ended
	})
	row := attackRow{
		attack: a.name, connections: a.connections.Load(), sent: a.sent.Load(), baseline: calm, during: during, memory: memory(),
	}
	a.Logf("%v", row)
	attackResults.add(row)
	a.checkEffects(row)
	if a.check != nil && !a.Failed() {
		a.attack.check(a)
	}
}

// awaitEnd returns when the attack has lasted long enough: when its time since its
// attackers were ready has passed, or when run has returned if the attack runs to its
// end. Each good client must also have finished two rounds. If a client does not within
// patience, the attack has harmed it.
func (a *attackRun) awaitEnd(length time.Duration, done chan struct{}, v *observations) {
	before := v.progress()
	begins := a.ready
	if a.runsToItsEnd {
		begins, length = done, 0
	}
	if a.runsToItsEnd || a.waitsUntilReady {
		select {
		case <-begins:
		case <-time.After(testTimeout):
		}
	}
	if !a.runsToItsEnd {
		before = v.progress()
	}
	<-time.After(length)
	v.awaitProgress(before, a.gateway.ended)
}

// checkEffects fails the test for each effect on a good client or an operator.
func (a *attackRun) checkEffects(row attackRow) {
	a.Helper()
	select {
	case <-a.gateway.ended:
		a.Fatalf("the attack ended the gateway: %v", row)
	default:
	}
	row.baseline.checkOnlySuccesses(a.T, "before the attack")
	row.during.checkOnlySuccesses(a.T, "during the attack")
	bound := a.attack.memory
	if bound == 0 {
		bound = memoryBound
	}
	if row.memory.peak > bound {
		a.Errorf("the gateway used %s of memory, want at most %s", mebibytes(row.memory.peak), mebibytes(bound))
	}
}

// gatewayWithDescriptors starts osgate with a limit of open files; 0: that of the test.
func (s *stack) gatewayWithDescriptors(descriptors int, settings ...string) *gateway {
	s.t.Helper()
	if descriptors == 0 {
		return s.gateway(settings...)
	}
	g := &gateway{stack: s}
	s.t.Cleanup(func() { s.checkNoSecretsWritten(g) })
	limited := fmt.Sprintf(`ulimit -n %d; exec "$0"`, descriptors)
	g.process = startProgram(s.t, "/bin/sh", s.environment(settings...), "-c", limited, programs.osgate)
	g.awaitReady()
	return g
}
