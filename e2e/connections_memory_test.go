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
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// TestThousandsOfConnectionsStayWithinMemory: connections that are idle after a
// request, and connections with a request that Object Store has not answered yet. The
// bounds, in bytes, include the gateway's memory without connections.
func TestThousandsOfConnectionsStayWithinMemory(t *testing.T) {
	allowDescriptors(t, 15_000)
	for name, tt := range map[string]struct {
		scheme       string
		dial         func(f schemeGateway, t testing.TB) clientConn
		idle, active int
		bound        int64
	}{
		"HTTP":   {"HTTP", dialHTTP1, 10_000, 2_000, 300e6},
		"HTTPS":  {"HTTPS", dialHTTP1, 10_000, 2_000, 300e6},
		"HTTP/2": {"HTTPS", dialHTTP2, 2_500, 500, 240e6},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStack(t, false)
			f := s.schemeGateway(t, tt.scheme, "RATE=0", "CACHE_KEY_TTL=0", "UPSTREAM_TIMEOUT=10m", "LOG_LEVEL=warn")
			token := f.newClient(t).token
			before := f.memory(t, "VmRSS")
			crowd := make([]clientConn, tt.idle)
			visit := func(i int) error {
				if crowd[i] == nil {
					crowd[i] = tt.dial(f, t)
				}
				return crowd[i].exchange()
			}
			concurrently(t, tt.idle, visit)
			s.emulator.setFault("10m", "")
			t.Cleanup(func() { s.emulator.setFault("", "") })
			concurrently(t, tt.active, func(i int) error {
				return tt.dial(f, t).send("GET", fmt.Sprintf("%s/key-%d", demoKeys, i), "Bearer "+token)
			})
			for f.openConnections("idle") < tt.idle { // the gateway closes the first ones after two minutes
				concurrently(t, tt.idle, func(i int) error {
					if crowd[i].exchange() == nil {
						return nil
					}
					crowd[i] = nil
					return visit(i)
				})
			}
			eventually(t, "all connections to be counted", func() bool { return f.openConnections("idle") >= tt.idle && f.openConnections("active") >= tt.active })
			now, most := f.memory(t, "VmRSS"), f.memory(t, "VmHWM")
			t.Logf("resident: %d MB before, %d MB with %d idle and %d active connections, bound %d MB", before/1e6, now/1e6, tt.idle, tt.active, most/1e6)
			if most > tt.bound {
				t.Errorf("the gateway used %d bytes, want at most %d", most, tt.bound)
			}
		})
	}
}

// allowDescriptors allows this process, and those that it starts, n file descriptors.
func allowDescriptors(t *testing.T, n uint64) {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatalf("reading the limit of file descriptors: %v", err)
	}
	if limit.Cur >= n {
		return
	}
	before := limit
	limit.Cur, limit.Max = n, max(n, limit.Max)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatalf("this test needs %d file descriptors (ulimit -n): %v", n, err)
	}
	t.Cleanup(func() { _ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &before) })
}

// clientConn is a connection of a client.
type clientConn interface {
	// visit sends a request that the gateway answers itself, and reads the answer.
	exchange() error
	// ask sends a request.
	send(method, path, authorization string) error
}

type http1ClientConn struct {
	net.Conn
	reader *bufio.Reader
}

func dialHTTP1(f schemeGateway, t testing.TB) clientConn {
	c := f.dial(t, "http/1.1")
	return &http1ClientConn{c, bufio.NewReaderSize(c, 512)}
}

func (v *http1ClientConn) send(method, path, authorization string) error {
	_, err := fmt.Fprintf(v, "%s %s HTTP/1.1\r\nHost: gateway\r\nAuthorization: %s\r\n\r\n", method, path, authorization)
	return err
}

func (v *http1ClientConn) exchange() error {
	if err := v.send("GET", "/nowhere", "none"); err != nil {
		return err
	}
	a, err := http.ReadResponse(v.reader, nil)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, a.Body)
	return err
}

// http2ClientConn sends its requests one after the other on HTTP/2 streams.
type http2ClientConn struct {
	*frameConn
	stream uint32
}

func dialHTTP2(f schemeGateway, t testing.TB) clientConn { return &http2ClientConn{f.dialFrames(t), 1} }

func (v *http2ClientConn) send(method, path, authorization string) error {
	v.header.Reset()
	for _, field := range []hpack.HeaderField{
		{Name: ":method", Value: method}, {Name: ":scheme", Value: "https"}, {Name: ":path", Value: path}, {Name: ":authority", Value: "gateway"},
		{Name: "authorization", Value: authorization},
	} {
		if err := v.encoder.WriteField(field); err != nil {
			return err
		}
	}
	err := v.WriteHeaders(http2.HeadersFrameParam{StreamID: v.stream, BlockFragment: v.header.Bytes(), EndHeaders: true, EndStream: true})
	v.stream += 2
	return err
}

func (v *http2ClientConn) exchange() error {
	if err := v.send("GET", "/nowhere", "none"); err != nil {
		return err
	}
	for {
		frame, err := v.ReadFrame()
		if err != nil {
			return err
		}
		if settings, ok := frame.(*http2.SettingsFrame); ok && !settings.IsAck() {
			err = v.WriteSettingsAck()
		}
		if err != nil || frame.Header().Flags.Has(http2.FlagDataEndStream) && frame.Header().Type != http2.FrameSettings {
			return err
		}
	}
}

// concurrently calls a function n times, several calls at once.
func concurrently(t *testing.T, n int, do func(i int) error) {
	t.Helper()
	var all sync.WaitGroup
	var next atomic.Int64
	for range 16 {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				if err := do(i); err != nil {
					t.Errorf("connection %d: %v", i, err)
				}
			}
		})
	}
	all.Wait()
}

// openConnections returns the number of client connections in this state.
func (f schemeGateway) openConnections(state string) int {
	name := `osgate_connections{osgate_connection_state="` + state + `",osgate_listener="clients"} `
	_, rest, _ := strings.Cut(client{t: f.t, base: f.admin}.get("/metrics").body, name)
	number, _, _ := strings.Cut(rest, "\n")
	n, _ := strconv.Atoi(number) // 0 without such a line
	return n
}

// memory returns the bytes that the kernel reports for the process under this name.
func (p *process) memory(t testing.TB, name string) int64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		t.Fatalf("reading the memory of a process: %v", err)
	}
	for line := range strings.Lines(string(status)) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == name+":" {
			n, _ := strconv.ParseInt(fields[1], 10, 64) // a number of the kernel
			return n << 10
		}
	}
	t.Fatalf("no %s in %s", name, status)
	return 0
}
