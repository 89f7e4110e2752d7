package load

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"iter"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Bulk is a closed loop for large bodies, which would be copied for each request in the
// script of wrk.
type Bulk struct {
	Connections int
	Duration    time.Duration
}

// Run sends the requests of a plan to the address: GETs, or PUTs with a body.
func (b Bulk) Run(ctx context.Context, address string, p Plan) (Result, error) {
	ctx, cancel := context.WithTimeout(ctx, b.Duration+60*time.Second)
	defer cancel()
	body := strings.Repeat("0123456789abcdef", p.Body/16)
	started := time.Now()
	latencies, failures := make(chan time.Duration, 1<<20), make(chan error, b.Connections)
	var senders sync.WaitGroup
	var next atomic.Int64
	conns, hangUp, err := dial(ctx, address, b.Connections)
	if err != nil {
		return Result{}, err
	}
	defer hangUp()
	for i, conn := range conns {
		client := i % p.Clients
		senders.Go(func() {
			in := bufio.NewReaderSize(conn, 64<<10)
			for time.Since(started) < b.Duration {
				begun := time.Now()
				if err := p.exchange(conn, in, client, next.Add(1), body); err != nil {
					failures <- err
					return
				}
				latencies <- time.Since(begun)
			}
		})
	}
	senders.Wait()
	took := time.Since(started)
	close(latencies)
	close(failures)
	for err := range failures {
		return Result{}, fmt.Errorf("large bodies: %w", err)
	}
	return summary(slices.Collect(values(latencies)), took)
}

// dial opens connections that end with ctx, and returns a function that closes them.
func dial(ctx context.Context, address string, n int) ([]net.Conn, func(), error) {
	conns := make([]net.Conn, 0, n)
	hangUp := sync.OnceFunc(func() {
		for _, conn := range conns {
			_ = conn.Close()
		}
	})
	for range n {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if err != nil {
			hangUp()
			return nil, nil, err
		}
		conns = append(conns, conn)
	}
	stop := context.AfterFunc(ctx, hangUp)
	return conns, func() { stop(); hangUp() }, nil
}

// exchange sends one request and reads its answer.
func (p Plan) exchange(conn net.Conn, in *bufio.Reader, client int, n int64, body string) error {
	method, length := "GET", ""
	if body != "" {
		method, length = "PUT", fmt.Sprintf("Content-Type: application/json\r\nContent-Length: %d\r\n", len(body))
	}
	head := fmt.Sprintf("%s %s HTTP/1.1\r\n%s%sX-Correlation-ID: bulk-%d\r\n\r\n",
		method, p.Key(client, 0), fields(client), length, n)
	if _, err := io.WriteString(conn, head); err != nil {
		return err
	}
	if _, err := io.WriteString(conn, body); err != nil {
		return err
	}
	return receive(in)
}

// values yields the elements of a channel until it is closed.
func values[T any](from <-chan T) iter.Seq[T] {
	return func(yield func(T) bool) {
		for v := range from {
			if !yield(v) {
				return
			}
		}
	}
}

// summary returns the result of latencies that took a time in all.
func summary(latencies []time.Duration, took time.Duration) (Result, error) {
	if len(latencies) == 0 {
		return Result{}, fmt.Errorf("no request was answered")
	}
	slices.Sort(latencies)
	at := func(q float64) float64 {
		return float64(latencies[int(q*float64(len(latencies)-1))].Nanoseconds()) / 1e3
	}
	return Result{
		Requests: int64(len(latencies)), Microseconds: took.Microseconds(),
		P50: at(0.5), P90: at(0.9), P99: at(0.99), Max: at(1),
	}, nil
}
