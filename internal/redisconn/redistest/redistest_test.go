package redistest_test

import (
	"errors"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"osgate/internal/redisconn/redistest"
)

func TestServerLosesItsDataWhenRestartedOnTheSamePort(t *testing.T) {
	s := redistest.Start(t)
	addr := s.Addr()
	s.Do("SET", "a key with blanks", "v")
	if got := s.Do("GET", "a key with blanks"); got != "v" {
		t.Fatalf("GET = %q, want %q", got, "v")
	}
	s.Restart()
	if s.Addr() != addr {
		t.Errorf("address after restart = %s, want %s", s.Addr(), addr)
	}
	if got := s.Do("DBSIZE"); got != "0" {
		t.Errorf("keys after restart = %s, want 0", got)
	}
}

func TestFlushDeletesEveryKey(t *testing.T) {
	s := redistest.Start(t)
	s.Do("SET", "k", "v")
	s.Flush()
	if got := s.Do("DBSIZE"); got != "0" {
		t.Errorf("keys after flush = %s, want 0", got)
	}
}

func TestStoppedServerRefuses(t *testing.T) {
	s := redistest.Start(t)
	s.Stop()
	s.Stop() // has no effect
	if c, err := net.Dial("tcp", s.Addr()); err == nil {
		c.Close()
		t.Errorf("a stopped server on %s accepts connections", s.Addr())
	}
}

func TestPausedServerAcceptsAndSaysNothing(t *testing.T) {
	s := redistest.Start(t)
	s.Do("SET", "k", "v")
	s.Pause()
	c, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatalf("dialing a paused server: %v", err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("PING\r\n")); err != nil {
		t.Fatalf("writing to a paused server: %v", err)
	}
	if err := c.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("reading from a paused server: %v, want a timeout", err)
	}
	s.Resume()
	if got := s.Do("GET", "k"); got != "v" {
		t.Errorf("GET after Resume = %q, want %q", got, "v")
	}
}

func TestServersClockIsSetWhileItRuns(t *testing.T) {
	s, clock := redistest.StartWithClock(t)
	s.Do("SET", "k", "v", "EX", "60")
	for _, ahead := range []time.Duration{0, -24 * time.Hour, time.Hour} {
		clock.Set(ahead)
		seconds, err := strconv.ParseInt(s.Do("EVAL", "return redis.call('TIME')[1]", "0"), 10, 64)
		off := time.Since(time.Unix(seconds, 0)) + ahead
		if err != nil || off < 0 || off > time.Minute {
			t.Errorf("put ahead by %v, its clock is %v behind that (%v)", ahead, off, err)
		}
		if got := s.Do("EXISTS", "k"); (got == "1") != (ahead <= 0) {
			t.Errorf("put ahead by %v, EXISTS of a key that lives for a minute = %s", ahead, got)
		}
	}
}

func TestExtraArgumentsReachTheServer(t *testing.T) {
	s := redistest.Start(t, "--maxclients", "7")
	if got := s.Do("INFO", "clients"); !strings.Contains(got, "maxclients:7\r\n") {
		t.Errorf("INFO clients = %q, want maxclients:7 in it", got)
	}
}
