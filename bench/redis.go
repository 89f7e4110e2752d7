package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
)

// redisCall sends one command to the Redis on a port of loopback and returns its
// answer, which must be a string.
func redisCall(ctx context.Context, port int, words ...string) (string, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", "127.0.0.1:"+strconv.Itoa(port))
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return "", err
	}
	var command strings.Builder
	fmt.Fprintf(&command, "*%d\r\n", len(words))
	for _, word := range words {
		fmt.Fprintf(&command, "$%d\r\n%s\r\n", len(word), word)
	}
	if _, err := io.WriteString(conn, command.String()); err != nil {
		return "", err
	}
	return readString(bufio.NewReader(conn))
}

// redisRoundTrip returns the median time of a PING on a port of loopback.
func redisRoundTrip(ctx context.Context, port int) (time.Duration, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", "127.0.0.1:"+strconv.Itoa(port))
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return 0, err
	}
	in := bufio.NewReader(conn)
	times := make([]time.Duration, 101)
	for i := range times {
		begun := time.Now()
		if _, err := io.WriteString(conn, "PING\r\n"); err != nil {
			return 0, err
		}
		if _, err := readString(in); err != nil {
			return 0, err
		}
		times[i] = time.Since(begun)
	}
	slices.Sort(times)
	return times[len(times)/2], nil
}

// readString reads a simple string or a bulk string of the Redis protocol.
func readString(in *bufio.Reader) (string, error) {
	line, err := in.ReadString('\n')
	if err != nil {
		return "", err
	}
	line = strings.TrimSuffix(line, "\r\n")
	switch {
	case strings.HasPrefix(line, "+"):
		return line[1:], nil
	case strings.HasPrefix(line, "$"):
		n, err := strconv.Atoi(line[1:])
		if err != nil || n < 0 {
			return "", fmt.Errorf("redis answered %q", line)
		}
		text := make([]byte, n)
		_, err = io.ReadFull(in, text)
		return string(text), err
	}
	return "", errors.New("redis answered " + strconv.Quote(line))
}

// command holds the counts of one of Redis's commands.
type command struct {
	Calls        float64 `json:"calls"`
	Microseconds float64 `json:"microseconds"` // in total
}

// commandStats returns Redis's counts by command.
func commandStats(ctx context.Context, port int) (map[string]command, error) {
	text, err := redisCall(ctx, port, "INFO", "commandstats")
	if err != nil {
		return nil, fmt.Errorf("reading Redis's command statistics: %w", err)
	}
	return parseCommandStats(text), nil
}

// parseCommandStats reads the section commandstats of INFO.
func parseCommandStats(text string) map[string]command {
	all := map[string]command{}
	for line := range strings.Lines(text) {
		// cmdstat_get:calls=1,usec=2,usec_per_call=2.00,rejected_calls=0,failed_calls=0
		name, values, ok := strings.Cut(strings.TrimPrefix(line, "cmdstat_"), ":")
		if !ok {
			continue
		}
		var c command
		for value := range strings.SplitSeq(values, ",") {
			switch name, number, _ := strings.Cut(value, "="); name {
			case "calls":
				c.Calls, _ = strconv.ParseFloat(number, 64)
			case "usec":
				c.Microseconds, _ = strconv.ParseFloat(number, 64)
			}
		}
		all[name] = c
	}
	return all
}

// since returns the counts between two statistics, divided by a number of requests.
// Commands of which there is less than one in a hundred requests are left out.
func since(before, after map[string]command, requests int64) map[string]command {
	each := map[string]command{}
	for name, a := range after {
		calls := (a.Calls - before[name].Calls) / float64(requests)
		if calls >= 0.01 {
			each[name] = command{calls, (a.Microseconds - before[name].Microseconds) / float64(requests)}
		}
	}
	return each
}
