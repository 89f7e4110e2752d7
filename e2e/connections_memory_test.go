package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// crowdMemory is what a gateway with 12,000 connections may take, by scheme.
var crowdMemory = map[string]int64{"HTTP": 300 << 20, "HTTPS": 350 << 20}

// TestThousandsOfConnectionsStayWithinMemory: 10,000 that are idle after a request, and
// 2,000 with a request that Object Store has not answered yet.
func TestThousandsOfConnectionsStayWithinMemory(t *testing.T) {
	const idle, active = 10_000, 2_000
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur < idle+active+3_000 {
		t.Skipf("%d file descriptors are not enough for %d connections", limit.Cur, idle+active)
	}
	for scheme, bound := range crowdMemory {
		t.Run(scheme, func(t *testing.T) {
			s := newStack(t, false)
			f := s.entrance(t, scheme, "RATE=0", "CACHE_KEY_TTL=0", "UPSTREAM_TIMEOUT=10m", "LOG_LEVEL=warn")
			token := f.app(t).token
			before, began := f.memory(t, "VmRSS"), time.Now()
			f.crowd(t, idle, func(c net.Conn, _ int) error {
				if _, err := io.WriteString(c, "GET /nowhere HTTP/1.1\r\nHost: gateway\r\n\r\n"); err != nil {
					return err
				}
				a, err := http.ReadResponse(bufio.NewReaderSize(c, 512), nil)
				if err != nil {
					return err
				}
				_, err = io.Copy(io.Discard, a.Body)
				return err
			})
			s.emulator.fault("10m", "")
			t.Cleanup(func() { s.emulator.fault("", "") })
			f.crowd(t, active, func(c net.Conn, i int) error {
				_, err := fmt.Fprintf(c, "GET %s/key-%d HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer %s\r\n\r\n", demoKeys, i, token)
				return err
			})
			if took := time.Since(began); took > 100*time.Second { // idle connections are closed after 2 minutes
				t.Skipf("this machine is too busy: it took %v to open the connections", took)
			}
			eventually(t, "all connections to be counted", func() bool { return f.open("idle") >= idle && f.open("active") >= active })
			now, most := f.memory(t, "VmRSS"), f.memory(t, "VmHWM")
			t.Logf("resident: %d MB before, %d MB with %d idle and %d active connections, %d MB at most", before>>20, now>>20, idle, active, most>>20)
			if most > bound {
				t.Errorf("the gateway took %d MB, want %d at most", most>>20, bound>>20)
			}
		})
	}
}

// crowd opens n connections, several at a time, and does begin on each.
func (f entrance) crowd(t *testing.T, n int, begin func(c net.Conn, i int) error) {
	t.Helper()
	var all sync.WaitGroup
	numbers := make(chan int)
	for range 16 {
		all.Go(func() {
			for i := range numbers {
				if err := begin(f.dial(t, "http/1.1"), i); err != nil {
					t.Errorf("connection %d: %v", i, err)
				}
			}
		})
	}
	for i := range n {
		numbers <- i
	}
	close(numbers)
	all.Wait()
}

// open returns how many client connections are in this state.
func (f entrance) open(state string) int {
	name := `osgate_connections{osgate_connection_state="` + state + `",osgate_listener="clients"} `
	_, rest, _ := strings.Cut(caller{t: f.t, base: f.admin}.get("/metrics").body, name)
	number, _, _ := strings.Cut(rest, "\n")
	n, _ := strconv.Atoi(number) // 0 where there is none
	return n
}

// memory returns the bytes that the kernel counts for the process under this name.
func (p *process) memory(t testing.TB, name string) int64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		t.Skipf("this system does not show the memory of a process: %v", err)
	}
	for line := range strings.Lines(string(status)) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == name+":" {
			n, _ := strconv.ParseInt(fields[1], 10, 64) // the kernel's own number
			return n << 10
		}
	}
	t.Fatalf("no %s in %s", name, status)
	return 0
}
