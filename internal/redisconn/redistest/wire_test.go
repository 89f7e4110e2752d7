package redistest_test

import (
	"bufio"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"osgate/internal/redisconn/redistest"
)

func TestWireCountsWaitsAndMakesThemLonger(t *testing.T) {
	w := redistest.NewWire(t, redistest.Start(t))
	u, err := url.Parse(w.URL())
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", u.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	answers := bufio.NewReader(c)
	ask := func(what string) time.Duration {
		t.Helper()
		start := time.Now()
		if _, err := c.Write([]byte(what)); err != nil {
			t.Fatal(err)
		}
		for range len(what) / len("PING\r\n") {
			if line, err := answers.ReadString('\n'); err != nil || line != "+PONG\r\n" {
				t.Fatalf("got %q, %v", line, err)
			}
		}
		return time.Since(start)
	}
	ask("PING\r\n")
	ask(strings.Repeat("PING\r\n", 2))
	if got := w.Trips(); got != 2 {
		t.Errorf("got %d trips, want 2", got)
	}
	w.Lengthen(20 * time.Millisecond)
	if took := ask("PING\r\n"); took < 40*time.Millisecond {
		t.Errorf("there and back took %v, want 40 ms", took)
	}
}
