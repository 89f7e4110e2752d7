package load

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"osgate/bench/pace"
)

// Open is an open loop: each request has a planned time, which does not depend on the
// answers before it. A latency counts from the planned time, so that a server that
// stalls is charged for the requests that had to wait meanwhile (this corrects
// coordinated omission).
type Open struct {
	Rate        int // requests a second
	Duration    time.Duration
	Connections int // the most requests under way at once
}

// Run sends the requests of a plan to the address. Seed chooses their order.
func (o Open) Run(ctx context.Context, address string, p Plan, seed int) (Result, error) {
	ctx, cancel := context.WithTimeout(ctx, o.Duration+30*time.Second)
	defer cancel()
	total := int(o.Duration.Seconds() * float64(o.Rate))
	planned := make(chan job, total)
	latencies, failures := make(chan time.Duration, total), make(chan error, total)
	var senders sync.WaitGroup
	conns, hangUp, err := dial(ctx, address, o.Connections)
	if err != nil {
		return Result{}, err
	}
	defer hangUp()
	for _, conn := range conns {
		senders.Go(func() {
			if err := send(conn, planned, latencies); err != nil {
				failures <- err
			}
		})
	}
	started := time.Now().Add(50 * time.Millisecond)
	o.plan(ctx, p, seed, started, planned)
	senders.Wait()
	took := time.Since(started)
	close(latencies)
	close(failures)
	if err := ctx.Err(); err != nil {
		return Result{}, err
	}
	for err := range failures {
		return Result{}, fmt.Errorf("open loop: %w", err)
	}
	return summary(slices.Collect(values(latencies)), took)
}

// job is a request and its planned time.
type job struct {
	due  time.Time
	text string
}

// plan hands out each request at its time. The channel has room for all of them, so
// that a slow server delays none.
func (o Open) plan(ctx context.Context, p Plan, seed int, start time.Time, planned chan<- job) {
	defer close(planned)
	random := rand.New(rand.NewPCG(uint64(seed), 1)) //nolint:gosec // an order to repeat
	interval := time.Second / time.Duration(o.Rate)
	pace.OnThread(func(sleep pace.Sleep) {
		for i := range cap(planned) {
			client := random.IntN(p.Clients)
			path := p.Key(client, random.IntN(p.Each))
			if p.Fresh != "" {
				path = fmt.Sprintf("%s%s%d", p.base(), p.Fresh, i)
			}
			due := start.Add(time.Duration(i) * interval)
			text := fmt.Sprintf("GET %s HTTP/1.1\r\n%sX-Correlation-ID: %08x-0000-4000-a000-%012x\r\n\r\n",
				path, fields(client), random.Uint32(), i)
			sleep.Until(due)
			if ctx.Err() != nil {
				return
			}
			planned <- job{due, text}
		}
	})
}

// fields returns the header of a client's requests, as wrk.lua has it.
func fields(client int) string {
	return "Host: gateway\r\nAuthorization: " + Token(client) +
		"\r\nAccept: application/json\r\nUser-Agent: AHC/1.0\r\n"
}

// send sends planned requests over one connection, one after the other.
func send(conn net.Conn, planned <-chan job, latencies chan<- time.Duration) error {
	in := bufio.NewReader(conn)
	for j := range planned {
		if _, err := io.WriteString(conn, j.text); err != nil {
			return err
		}
		if err := receive(in); err != nil {
			return err
		}
		latencies <- time.Since(j.due)
	}
	return nil
}

// receive reads an answer to its end. One that is not 2xx is an error.
func receive(in *bufio.Reader) error {
	answer, err := http.ReadResponse(in, nil)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		return err
	}
	if answer.StatusCode/100 != 2 {
		return fmt.Errorf("an answer was %s", answer.Status)
	}
	return nil
}
