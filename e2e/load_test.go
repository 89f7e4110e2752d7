package e2e

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// load is the result of a run of many requests.
type load struct {
	latencies []time.Duration // of each request, in ascending order
	elapsed   time.Duration
	cpu       time.Duration // of the measured process, user and system, per request
	mallocs   float64       // objects that it allocated per request; 0: unknown
}

func (l *load) rate() float64 { return float64(len(l.latencies)) / l.elapsed.Seconds() }

func (l *load) quantile(q float64) time.Duration {
	return l.latencies[max(0, int(math.Ceil(q*float64(len(l.latencies))))-1)]
}

// measure sends b.N requests over this many connections, and reports the result. Each
// connection waits for a response before its next request.
func (s *subject) measure(b *testing.B, connections int) *load {
	b.Helper()
	var left atomic.Int64
	left.Store(int64(b.N))
	latencies := make([][]time.Duration, connections)
	lines := make([]*benchConn, connections)
	for i := range lines {
		lines[i] = dialBenchConn(b, s.addr)
		latencies[i] = make([]time.Duration, 0, b.N/connections+b.N/8+1)
	}
	mallocs, cpu := s.mallocs(), cpuTime(s.process)
	b.ResetTimer()
	began := time.Now()
	var all sync.WaitGroup
	for i, l := range lines {
		all.Go(func() {
			for left.Add(-1) >= 0 {
				sent := time.Now()
				if err := l.roundTrip(s.request); err != nil {
					b.Errorf("%s: %v", s.name, err)
					return
				}
				latencies[i] = append(latencies[i], time.Since(sent))
			}
		})
	}
	all.Wait()
	l := &load{elapsed: time.Since(began), latencies: slices.Concat(latencies...)}
	b.StopTimer()
	n := float64(b.N)
	l.cpu = time.Duration(float64(cpuTime(s.process)-cpu) / n)
	if mallocs > 0 {
		l.mallocs = (s.mallocs() - mallocs) / n
	}
	if b.Failed() {
		b.FailNow()
	}
	slices.Sort(l.latencies)
	b.ReportMetric(l.rate(), "req/s")
	b.ReportMetric(float64(l.quantile(0.5).Nanoseconds())/1e3, "p50-µs")
	b.ReportMetric(float64(l.quantile(0.99).Nanoseconds())/1e3, "p99-µs")
	b.ReportMetric(float64(l.cpu.Nanoseconds())/1e3, "cpu-µs/req")
	if l.mallocs > 0 {
		b.ReportMetric(l.mallocs, "allocs/req")
	}
	return l
}

// ticks is the unit of the times in /proc/PID/stat (sysconf(_SC_CLK_TCK), which is 100
// on each Linux that Go supports).
const ticks = 10 * time.Millisecond

// cpuTime returns the processor time that a process has used so far, or 0 if the system
// does not report it.
func cpuTime(p *process) time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), ") ") // after the name, which may contain spaces
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * ticks
}

// benchConn is a persistent connection with the minimum that HTTP/1.1 requires, so that
// the client costs less than the measured gateway.
type benchConn struct {
	net.Conn
	in *bufio.Reader
}

func dialBenchConn(b *testing.B, addr string) *benchConn {
	b.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		b.Fatalf("dialing: %v", err)
	}
	b.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(5 * time.Minute))
	return &benchConn{Conn: c, in: bufio.NewReader(c)}
}

var (
	statusOK      = []byte("HTTP/1.1 200 ")
	contentLength = []byte("Content-Length: ")
)

// roundTrip sends a request and reads a response with status 200 and a Content-Length
// to its end.
func (l *benchConn) roundTrip(request []byte) error {
	if _, err := l.Write(request); err != nil {
		return err
	}
	first, err := l.in.ReadSlice('\n')
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(first, statusOK) {
		return fmt.Errorf("the answer is %q", first)
	}
	length := -1
	for {
		field, err := l.in.ReadSlice('\n')
		if err != nil {
			return err
		}
		field = bytes.TrimRight(field, "\r\n")
		if len(field) == 0 {
			break
		}
		if number, ok := bytes.CutPrefix(field, contentLength); ok {
			if length, err = strconv.Atoi(string(number)); err != nil {
				return err
			}
		}
	}
	if length < 0 {
		return io.ErrUnexpectedEOF
	}
	_, err = l.in.Discard(length)
	return err
}
